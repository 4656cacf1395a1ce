// Registers one device with the provisioning service and prints the result as one JSON line.
'use strict';

const { Http } = require('azure-iot-provisioning-device-http');
const { Mqtt, MqttWs } = require('azure-iot-provisioning-device-mqtt');
const { ProvisioningDeviceClient } = require('azure-iot-provisioning-device');
const { SymmetricKeySecurityClient } = require('azure-iot-security-symmetric-key');
const { X509Security } = require('azure-iot-security-x509');
const device = require('./device');
const tpm = require('./tpm');

const TRANSPORTS = { mqtt: Mqtt, 'mqtt-ws': MqttWs, http: Http };

const args = device.arguments({
  'id-scope': { type: 'string' },
  'registration-id': { type: 'string' },
  payload: { type: 'string' },
});

function credential(id) {
  if (args.tpm) {
    return tpm.security(id, args.tpm);
  }
  return args.cert
    ? new X509Security(id, device.x509(args))
    : new SymmetricKeySecurityClient(id, args.key);
}

const security = credential(args['registration-id']);
const transport = new TRANSPORTS[args.transport]();
if (args['endorsement-certificate']) {
  tpm.showCertificates(transport, args['endorsement-certificate']);
}
const client = ProvisioningDeviceClient.create(
  args.host, args['id-scope'], transport, security);
if (args.payload !== undefined) {
  client.setProvisioningPayload(JSON.parse(args.payload));
}

client.register((error, result) => {
  // With a TPM the SDK hands over the whole answer to the poll.
  const state = (result && result.registrationState) || result;
  if (error) {
    device.say({ outcome: 'error', ...device.failure(error) });
  } else {
    device.say({
      outcome: state.status,
      status: state.status,
      assigned_hub: state.assignedHub,
      device_id: state.deviceId,
      substatus: state.substatus,
      etag: state.etag,
      payload: state.payload,
    });
  }
  process.exitCode = 0;
});
