// Drives the provisioning service client: a JSON array a line on standard input,
// [method, argument…], answered by one JSON line: {"ok": result} or {"error": {…}}.
//
// Methods are the client's own; `query` is ["query", of, pageSize, group?] with `of` one of
// individual, group, registration, and reads every page: {"ok": [page, …]}.
'use strict';

const { ProvisioningServiceClient } = require('azure-iot-provisioning-service');
const { serve } = require('./requests');

const client = ProvisioningServiceClient.fromConnectionString(process.env.CONNECTION_STRING);

const SPECIFICATION = { query: 'SELECT *' };
const QUERIES = {
  individual: (size) => client.createIndividualEnrollmentQuery(SPECIFICATION, size),
  group: (size) => client.createEnrollmentGroupQuery(SPECIFICATION, size),
  registration: (size, group) =>
    client.createEnrollmentGroupDeviceRegistrationStateQuery(SPECIFICATION, group, size),
};

async function pages(of, size, group) {
  const query = QUERIES[of](size, group);
  const read = [];
  while (query.hasMoreResults) {
    // The client forgets its token in the promise form, so the callback form reads the pages.
    read.push(await new Promise((resolve, reject) => {
      query.next((error, page) => (error ? reject(error) : resolve(page)));
    }));
  }
  return read;
}

serve(async (method, ...rest) => {
  if (method === 'query') {
    return pages(...rest);
  }
  // The promise form of bulk never settles, so every method is called in its callback form.
  return new Promise((resolve, reject) => {
    client[method](...rest, (error, result) => (error ? reject(error) : resolve(result)));
  });
});
