// node firecrackerode.js SOCKET STEP ARGUMENTS…: drives a machine by the npm package firecrackerode. What the
// package has no call for goes through its modem, as all of its calls do.
'use strict';

const Firecracker = require('firecrackerode');

const [socketPath, step, ...words] = process.argv.slice(2);
const client = new Firecracker({socketPath});

function dial(method, path, data) {
  const request = {path, method, data, statusCodes: {200: true, 204: true}};
  return new Promise((resolve, reject) => {
    client.modem.dial(request, (error, answer) => (error ? reject(error) : resolve(answer)));
  });
}

const steps = {
  async boot(kernel) {
    await client.logger({level: 'Warning'});
    await client.bootSource({kernel_image_path: kernel, boot_args: 'console=ttyS0 reboot=k panic=1'});
    await dial('PUT', '/machine-config', {vcpu_count: 1, mem_size_mib: 64});
    await client.action('InstanceStart');
  },
  async snapshot(state, memory) {
    await dial('PATCH', '/vm', {state: 'Paused'});
    await dial('PUT', '/snapshot/create', {snapshot_type: 'Full', snapshot_path: state, mem_file_path: memory});
  },
  async load(state, memory) {
    const backend = {backend_type: 'File', backend_path: memory};
    await dial('PUT', '/snapshot/load', {snapshot_path: state, mem_backend: backend, resume_vm: true});
  },
};

steps[step](...words).catch((error) => {
  console.error(error.message);
  process.exit(1);
});
