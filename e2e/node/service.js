// Drives the provisioning service client: a JSON array a line on standard input,
// [method, argument…], answered by one JSON line: {"ok": result} or {"error": {…}}.
//
// Methods are the client's own; ["promise", method, …] calls one in its promise form. Beside them,
// with `of` one of individual, group, registration: ["query", of, size, group?] reads every page,
// {"ok": [page, …]}; ["page", of, token, size, group?] one, {"ok": {page, token}}.
'use strict';

const { ProvisioningServiceClient } = require('azure-iot-provisioning-service');
const { bearer, call, page, pages, serve } = require('./requests');

const client = process.env.TOKEN
  ? ProvisioningServiceClient.fromTokenCredential(process.env.HOST, bearer(process.env.TOKEN))
  : ProvisioningServiceClient.fromConnectionString(process.env.CONNECTION_STRING);

const SPECIFICATION = { query: 'SELECT *' };
const QUERIES = {
  individual: (size) => client.createIndividualEnrollmentQuery(SPECIFICATION, size),
  group: (size) => client.createEnrollmentGroupQuery(SPECIFICATION, size),
  registration: (size, group) =>
    client.createEnrollmentGroupDeviceRegistrationStateQuery(SPECIFICATION, group, size),
};

serve((method, ...rest) => {
  if (method === 'query') {
    const [of, ...which] = rest;
    return pages(QUERIES[of](...which));
  }
  if (method === 'page') {
    const [of, token, ...which] = rest;
    return page(QUERIES[of](...which), token);
  }
  return call(client, method, ...rest);
});
