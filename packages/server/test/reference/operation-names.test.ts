import { expect, test } from 'vitest';
import { operations } from './operations.ts';

/** Names of operations are functions of generated clients: they say what they do, and they stay as they are. */
const VERBS =
  /^(list|get|find|read|create|update|delete|set|register|retire|deactivate|revoke|rotate|authenticate|send|sign|change|check|start|finish)(?=[A-Z])/;

const NAMES: Readonly<Record<string, string>> = {
  'GET /health/live': 'checkLiveness',
  'GET /health/ready': 'checkReadiness',
  'GET /metrics': 'getMetrics',
  'POST /api/v1/partners/authenticate': 'authenticatePartner',
  'PUT /api/v1/partners/rotate': 'rotatePartnerKey',
  'POST /api/v1/customers/authenticate': 'authenticateCustomer',
  'PUT /api/v1/customers/rotate': 'rotateCustomerKey',
  'GET /.well-known/jwks.json': 'getTokenKeys',
  'GET /api/v1/telemetry/receipts/{id}': 'getReceipt',
  'POST /api/v1/telemetry/intake/{vin}': 'sendTelemetry',
  'POST /api/v1/telemetry/intake/plants/{plantId}': 'sendPlantTelemetry',
  'POST /api/v1/auth/sign-in': 'signIn',
  'POST /api/v1/auth/sign-out': 'signOut',
  'GET /api/v1/auth/me': 'getSignedInPerson',
  'PUT /api/v1/auth/password': 'changePassword',
  'GET /api/v1/auth/oidc/start': 'startOidcSignIn',
  'GET /api/v1/auth/oidc/callback': 'finishOidcSignIn',
  'GET /api/v1/organizations': 'listOrganizations',
  'POST /api/v1/organizations': 'createOrganization',
  'GET /api/v1/organizations/{organization}': 'getOrganization',
  'PATCH /api/v1/organizations/{organization}': 'updateOrganization',
  'GET /api/v1/organizations/{organization}/users': 'listUsers',
  'POST /api/v1/organizations/{organization}/users': 'createUser',
  'GET /api/v1/organizations/{organization}/users/{user}': 'getUser',
  'PATCH /api/v1/organizations/{organization}/users/{user}': 'updateUser',
  'DELETE /api/v1/organizations/{organization}/users/{user}': 'deactivateUser',
  'GET /api/v1/organizations/{organization}/audit': 'listAuditEvents',
  'GET /api/v1/partner/api-keys': 'listApiKeys',
  'POST /api/v1/partner/api-keys': 'createApiKey',
  'GET /api/v1/partner/api-keys/{id}': 'getApiKey',
  'PATCH /api/v1/partner/api-keys/{id}': 'updateApiKey',
  'DELETE /api/v1/partner/api-keys/{id}': 'revokeApiKey',
  'GET /api/v1/organizations/{organization}/api-keys': 'listOrganizationApiKeys',
  'POST /api/v1/organizations/{organization}/api-keys': 'createOrganizationApiKey',
  'GET /api/v1/organizations/{organization}/api-keys/{id}': 'getOrganizationApiKey',
  'PATCH /api/v1/organizations/{organization}/api-keys/{id}': 'updateOrganizationApiKey',
  'DELETE /api/v1/organizations/{organization}/api-keys/{id}': 'revokeOrganizationApiKey',
  'GET /api/v1/limits': 'getLimits',
  'GET /api/v1/usage': 'listUsage',
  'GET /api/v1/plans': 'listPlans',
  'POST /api/v1/plans': 'createPlan',
  'GET /api/v1/plans/{plan}': 'getPlan',
  'PATCH /api/v1/plans/{plan}': 'updatePlan',
  'DELETE /api/v1/plans/{plan}': 'deletePlan',
  'GET /api/v1/products': 'listProducts',
  'GET /api/v1/products/{product}': 'getProduct',
  'GET /api/v1/products/{product}/limit': 'getProductLimit',
  'PUT /api/v1/products/{product}/limit': 'setProductLimit',
  'GET /api/v1/organizations/{organization}/fleets': 'listOrganizationFleets',
  'POST /api/v1/organizations/{organization}/fleets': 'registerFleet',
  'GET /api/v1/organizations/{organization}/fleets/{id}': 'getOrganizationFleet',
  'PATCH /api/v1/organizations/{organization}/fleets/{id}': 'updateFleet',
  'DELETE /api/v1/organizations/{organization}/fleets/{id}': 'retireFleet',
  'GET /api/v1/organizations/{organization}/trailers': 'listOrganizationTrailers',
  'POST /api/v1/organizations/{organization}/trailers': 'registerTrailer',
  'GET /api/v1/organizations/{organization}/trailers/{id}': 'getOrganizationTrailer',
  'PATCH /api/v1/organizations/{organization}/trailers/{id}': 'updateTrailer',
  'DELETE /api/v1/organizations/{organization}/trailers/{id}': 'retireTrailer',
  'GET /api/v1/organizations/{organization}/devices': 'listOrganizationDevices',
  'POST /api/v1/organizations/{organization}/devices': 'registerDevice',
  'GET /api/v1/organizations/{organization}/devices/{id}': 'getOrganizationDevice',
  'PATCH /api/v1/organizations/{organization}/devices/{id}': 'updateDevice',
  'DELETE /api/v1/organizations/{organization}/devices/{id}': 'retireDevice',
  'GET /api/v1/organizations/{organization}/deliversafe': 'listOrganizationDeliverSafeUnits',
  'POST /api/v1/organizations/{organization}/deliversafe': 'registerDeliverSafeUnit',
  'GET /api/v1/organizations/{organization}/deliversafe/{id}': 'getOrganizationDeliverSafeUnit',
  'PATCH /api/v1/organizations/{organization}/deliversafe/{id}': 'updateDeliverSafeUnit',
  'DELETE /api/v1/organizations/{organization}/deliversafe/{id}': 'retireDeliverSafeUnit',
  'GET /api/v1/organizations/{organization}/plants': 'listOrganizationPlants',
  'POST /api/v1/organizations/{organization}/plants': 'registerPlant',
  'GET /api/v1/organizations/{organization}/plants/{id}': 'getOrganizationPlant',
  'PATCH /api/v1/organizations/{organization}/plants/{id}': 'updatePlant',
  'DELETE /api/v1/organizations/{organization}/plants/{id}': 'retirePlant',
  'GET /api/v1/fleets': 'listFleets',
  'GET /api/v1/fleets/{fleet}': 'getFleet',
  'GET /api/v1/trailers/{id}': 'findTrailers',
  'GET /api/v1/devices/{trailer}': 'listDevices',
  'GET /api/v1/devices/details/{device}': 'getDevice',
  'GET /api/v1/deliversafe': 'listDeliverSafeUnits',
  'GET /api/v1/deliversafe/{id}': 'getDeliverSafeUnit',
  'GET /api/v1/contested-vins': 'listContestedVins',
  'GET /api/v1/plants': 'listPlants',
  'GET /api/v1/plants/{plant}': 'getPlant',
  'GET /api/v1/trailers/telemetry/gps/{trailer}': 'listTrailerGpsFixes',
  'GET /api/v1/devices/telemetry/{device}': 'listDeviceTelemetry',
  'GET /api/v1/deliversafe/telemetry/{id}': 'listDeliverSafeTelemetry',
  'GET /api/v1/telemetry/latest': 'listLatestTelemetry',
  'GET /api/v1/telemetry/feed': 'readTelemetryFeed',
};

test('every operation is a verb and what it is done to, and no two have one name', () => {
  const names = operations.map(({ operation }) => operation.operationId);
  expect(new Set(names).size).toBe(names.length);
  for (const { at, operation } of operations) {
    expect(operation.operationId, `${at}: name it like listFleets, with a verb of this list`).toMatch(VERBS);
    expect(operation.operationId, `${at}: letters and digits only`).toMatch(/^[A-Za-z0-9]{5,40}$/);
  }
});

test('a verb fits its method: what only reads is GET', () => {
  for (const { at, method, operation } of operations) {
    const reads = /^(list|get|find|read|check|start|finish)/.test(operation.operationId);
    expect(reads, `${at} ${operation.operationId}`).toBe(method === 'GET');
  }
});

test('the operations are those of this list, so that a name never changes unseen', () => {
  expect(Object.fromEntries(operations.map(({ at, operation }) => [at, operation.operationId]))).toEqual(NAMES);
});
