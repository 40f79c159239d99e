// Shows a partner its own product. The key is sent in a header, to this server, and kept nowhere.
const form = document.querySelector('form');
const keyField = document.querySelector('#key');
const vinField = document.querySelector('#vin');
const problem = document.querySelector('#problem');
const place = document.querySelector('#product');

form.addEventListener('submit', (event) => {
  event.preventDefault();
  void show();
});

async function show() {
  problem.textContent = '';
  place.replaceChildren();
  const key = keyField.value.trim();
  keyField.value = '';
  try {
    const token = key.startsWith('gladhand_') ? await exchange(key) : key;
    const { data } = await ask('/api/v1/products', { Authorization: `Bearer ${token}` });
    for (const { name } of data) {
      const path = `/api/v1/products/${encodeURIComponent(name)}`;
      place.append(describe(await ask(path, { Authorization: `Bearer ${token}` })));
    }
  } catch (error) {
    problem.textContent = error.message;
  }
}

async function exchange(key) {
  return (await ask('/api/v1/partners/authenticate', { 'X-API-KEY': key }, 'POST')).accessToken;
}

async function ask(path, headers, method = 'GET') {
  const answer = await fetch(path, { method, headers, credentials: 'omit' });
  // What stands in front of the server may answer in its place, and not in JSON.
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.detail ?? `The server could not be asked (${answer.status}). Try again later.`);
  return body;
}

function describe(product) {
  const section = document.createElement('section');
  section.append(element('h2', product.title), facts(product));
  section.append(element('h3', 'Example'), ...example(product));
  section.append(element('h3', 'Input schema'), block(JSON.stringify(product.inputSchema, null, 2)));
  return section;
}

function facts({
  name,
  mappingVersion,
  contentTypes,
  contentEncodings,
  bodyBytesMax,
  vinCheck,
  clockSkew,
  intakeLimit,
}) {
  const { limit, windowSeconds, total, proposed } = intakeLimit;
  const rows = {
    Name: name,
    'Mapping version': mappingVersion,
    'Content-Type': contentTypes.join(', '),
    'Content-Encoding': `${contentEncodings.join(', ')}, or none`,
    'Body, at most': `${bodyBytesMax} bytes`,
    'Limit for each VIN': `${limit} requests in ${duration(windowSeconds)}`,
    ...(total && { 'Limit for all VINs': `${total.limit} requests in ${duration(total.windowSeconds)}` }),
    ...(proposed && { 'Announced for each VIN': `${proposed.limit} requests in ${duration(proposed.windowSeconds)}` }),
    'Records may be': `${duration(clockSkew.pastSecondsMax)} old, and ${duration(clockSkew.futureSecondsMax)} ahead of our clock`,
    'A wrong check digit of a VIN': vinCheck === 'strict' ? 'is refused' : 'is taken, and marked',
  };
  const list = document.createElement('dl');
  for (const [term, value] of Object.entries(rows)) list.append(element('dt', term), element('dd', value));
  return list;
}

function example({ contentTypes, example }) {
  if (example === null) return [element('p', 'The product has none.')];
  const vin = vinField.value.trim().toUpperCase() || example.vin;
  const text = (indent) => JSON.stringify(example.payload, null, indent).replaceAll(example.vin, vin);
  const command = [
    'KEY=<your API key>',
    `TOKEN=$(curl -s -X POST -H "X-API-KEY: $KEY" ${location.origin}/api/v1/partners/authenticate | sed 's/.*"accessToken":"\\([^"]*\\)".*/\\1/')`,
    `curl -X POST -H "Authorization: Bearer $TOKEN" -H "Content-Type: ${contentTypes[0]}" -d '${text().replaceAll("'", "'\\''")}' ${location.origin}/api/v1/telemetry/intake/${encodeURIComponent(vin)}`,
  ];
  return [
    element('p', `Its instants are as of now, its VIN is ${vin}. It is processed when that VIN is registered.`),
    block(text(2)),
    element('p', 'Sent with curl:'),
    block(command.join('\n')),
  ];
}

// In the largest unit that it is a whole number of.
function duration(seconds) {
  const units = { days: 86_400, hours: 3_600, minutes: 60 };
  const found = Object.entries(units).find(([, size]) => seconds >= size && seconds % size === 0);
  return found === undefined ? `${seconds} s` : `${seconds / found[1]} ${found[0]}`;
}

function block(text) {
  const pre = document.createElement('pre');
  pre.append(element('code', text));
  return pre;
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}
