import type { Cursors } from '@gladhand/base/cursor.ts';
import {
  DeliverSafePageSchema,
  DeliverSafeUnitSchema,
  DevicePageSchema,
  DeviceSchema,
  FleetPageSchema,
  FleetSchema,
  TrailerPageSchema,
  TrailerSchema,
} from '@gladhand/contract/registry.ts';
import { Type } from 'typebox';
import { customerAccess, idPath, readSchema } from '../edge/customer-read.ts';
import { principalOf } from '../edge/guard.ts';
import type { Http } from '../edge/http.ts';
import { asJson } from '../edge/json.ts';
import { PageQuery } from '../edge/paging.ts';
import { walkPage } from '../edge/person-route.ts';
import { found } from './not-found.ts';
import type { Registry } from './registry.ts';

/**
 * The customer's doors to what it owns. Paths are relative: the app registers them under `/api/v1`. Whatever the
 * caller may not see is answered as if it did not exist, also when it is not even written like an id.
 */
const ActivePageQuery = Type.Object(
  {
    ...PageQuery.properties,
    activeOnly: Type.Optional(
      Type.Boolean({ default: false, description: 'true: leave out what was taken out of service.' }),
    ),
  },
  { additionalProperties: false },
);

export interface RegistryDoorParts {
  readonly registry: Registry;
  readonly cursors: Cursors;
}

export function registerRegistryRoutes(http: Http, parts: RegistryDoorParts): void {
  registerFleetRoutes(http, parts);
  registerTrailerRoutes(http, parts);
  registerDeviceRoutes(http, parts);
  registerDeliverSafeRoutes(http, parts);
}

function registerFleetRoutes(http: Http, { registry, cursors }: RegistryDoorParts): void {
  http.get(
    '/fleets',
    {
      config: customerAccess('fleets:read'),
      schema: {
        operationId: 'listFleets',
        ...readSchema('Fleets', 'Your fleets', FleetPageSchema),
        querystring: PageQuery,
      },
    },
    (request) => {
      const { organizationId } = principalOf(request);
      return walkPage(cursors, { organizationId, query: 'fleets' }, request.query, (walk) =>
        registry.listFleets(organizationId, walk),
      );
    },
  );

  http.get(
    '/fleets/:fleet',
    {
      config: customerAccess('fleets:read'),
      schema: {
        operationId: 'getFleet',
        refusals: ['not-found'],
        ...readSchema('Fleets', 'One fleet', FleetSchema),
        params: idPath('fleet', 'The id of a fleet.'),
      },
    },
    async (request) => {
      return found('fleet', await registry.findFleet(principalOf(request).organizationId, request.params.fleet));
    },
  );
}

function registerTrailerRoutes(http: Http, { registry, cursors }: RegistryDoorParts): void {
  http.get(
    '/trailers/:id',
    {
      config: customerAccess('trailers:read'),
      // Either of two shapes: telling them apart by their schemas would cost more than writing them.
      serializerCompiler: asJson,
      schema: {
        operationId: 'findTrailers',
        refusals: ['not-found'],
        ...readSchema('Trailers', "A fleet's trailers, or one trailer", Type.Union([TrailerPageSchema, TrailerSchema])),
        description:
          'The id of a fleet gives a page of its trailers; the id or VIN of a trailer gives that trailer, and `take`, `next` and `activeOnly` mean nothing.',
        params: idPath('id', 'The id of a fleet, or the id or VIN of a trailer.'),
        querystring: ActivePageQuery,
      },
    },
    async (request) => {
      const { organizationId } = principalOf(request);
      const { id } = request.params;
      const trailer = await registry.findTrailer(organizationId, id);
      if (trailer !== undefined) return trailer;
      const fleet = found('fleet or trailer', await registry.findFleet(organizationId, id));
      const activeOnly = request.query.activeOnly ?? false;
      return walkPage(cursors, { organizationId, query: `trailers ${fleet.id} ${activeOnly}` }, request.query, (walk) =>
        registry.listTrailers(organizationId, fleet.id, { ...walk, activeOnly }),
      );
    },
  );
}

function registerDeviceRoutes(http: Http, { registry, cursors }: RegistryDoorParts): void {
  http.get(
    '/devices/:trailer',
    {
      config: customerAccess('devices:read'),
      schema: {
        operationId: 'listDevices',
        refusals: ['not-found'],
        ...readSchema('Devices', "A trailer's devices", DevicePageSchema),
        description: 'A device is listed with the asset it reported for most recently.',
        params: idPath('trailer', 'The id or VIN of a trailer or a DeliverSafe unit.'),
        querystring: ActivePageQuery,
      },
    },
    async (request) => {
      const { organizationId } = principalOf(request);
      const assetId = found('trailer', await registry.findVehicleId(organizationId, request.params.trailer));
      const activeOnly = request.query.activeOnly ?? false;
      return walkPage(cursors, { organizationId, query: `devices ${assetId} ${activeOnly}` }, request.query, (walk) =>
        registry.listDevices(organizationId, assetId, { ...walk, activeOnly }),
      );
    },
  );

  http.get(
    '/devices/details/:device',
    {
      config: customerAccess('devices:read'),
      schema: {
        operationId: 'getDevice',
        refusals: ['not-found'],
        ...readSchema('Devices', 'One device', DeviceSchema),
        params: idPath('device', 'The id of a device.'),
      },
    },
    async (request) => {
      const { organizationId, plantIds } = principalOf(request);
      return found('device', await registry.findDevice(organizationId, request.params.device, plantIds));
    },
  );
}

function registerDeliverSafeRoutes(http: Http, { registry, cursors }: RegistryDoorParts): void {
  http.get(
    '/deliversafe',
    {
      config: customerAccess('deliversafe:read'),
      schema: {
        operationId: 'listDeliverSafeUnits',
        ...readSchema('DeliverSafe', 'Your DeliverSafe units', DeliverSafePageSchema),
        querystring: PageQuery,
      },
    },
    (request) => {
      const { organizationId } = principalOf(request);
      return walkPage(cursors, { organizationId, query: 'deliversafe' }, request.query, (walk) =>
        registry.listDeliverSafe(organizationId, walk),
      );
    },
  );

  http.get(
    '/deliversafe/:id',
    {
      config: customerAccess('deliversafe:read'),
      schema: {
        operationId: 'getDeliverSafeUnit',
        refusals: ['not-found'],
        ...readSchema('DeliverSafe', 'One DeliverSafe unit', DeliverSafeUnitSchema),
        params: idPath('id', 'The id of a unit, the VIN of its vehicle, or its serial number if no other unit has it.'),
      },
    },
    async (request) => {
      const { organizationId } = principalOf(request);
      return found('DeliverSafe unit', await registry.findDeliverSafe(organizationId, request.params.id));
    },
  );
}
