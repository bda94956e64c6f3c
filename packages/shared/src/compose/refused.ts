import type { Row } from './fields.ts';

/** Keys of a service that Berth does not carry out, each with a reason a person can act on. */
export const REFUSED_IN_SERVICE: readonly Row[] = [
  {
    key: 'privileged',
    reason:
      'it lets a tenant reach the host; remove it, and if the image needs capabilities use x-berth.profile: compatible',
    harmless: ['false'],
  },
  { key: 'devices', reason: "it lets a tenant reach the host's devices; remove it" },
  { key: 'device_cgroup_rules', reason: "it lets a tenant reach the host's devices; remove it" },
  { key: 'gpus', reason: "it gives a tenant the host's devices; GPUs are not supported" },
  {
    key: 'pid',
    reason: 'it lets a tenant see processes outside its container; remove it',
  },
  {
    key: 'ipc',
    reason:
      'it shares memory beyond the container; remove it, or set shm_size when more shared memory is needed',
    harmless: ['private', 'none'],
  },
  { key: 'uts', reason: "it shares the host's name; remove it, or set hostname", harmless: ['private'] },
  {
    key: 'cgroup',
    reason: "it lets a tenant reach the host's control groups; remove it",
    harmless: ['private'],
  },
  { key: 'cgroup_parent', reason: "it moves the container out of its tenant's limits; remove it" },
  { key: 'userns_mode', reason: 'it lets a tenant act as root of the host; remove it' },
  {
    key: 'volumes_from',
    reason: 'it is not supported; mount the same named volume in both services instead',
  },
  {
    key: 'links',
    reason: 'it is a legacy of Docker without networks; remove it: services reach each other by their names',
  },
  {
    key: 'external_links',
    reason:
      "it reaches containers outside the tenant; remove it, and give the other side's address as a variable",
  },
  {
    key: 'use_api_socket',
    reason: 'it lets a tenant reach the host: whoever controls Docker controls the machine; remove it',
    harmless: ['false'],
  },
  {
    key: 'runtime',
    reason: 'the container runtime is the choice of the host; remove it',
    harmless: ['runc'],
  },
  { key: 'isolation', reason: 'it is for Windows containers; remove it', harmless: ['default'] },
  { key: 'credential_spec', reason: 'it is for Windows containers; remove it' },
  {
    key: 'extends',
    reason:
      'a template is one file; run `docker compose config` once and use what it prints, or share parts with a YAML anchor',
  },
  { key: 'configs', reason: 'it is not yet supported: use environment, or put the file into the image' },
  { key: 'label_file', reason: 'it is not supported; write the labels under labels' },
  {
    key: 'provider',
    reason:
      'it runs a program beside Compose; run such a service elsewhere and pass its address as a variable',
  },
  {
    key: 'models',
    reason: 'it is not supported; run the model elsewhere and pass its address as a variable',
  },
  {
    key: 'post_start',
    reason: 'hooks are not yet supported; do it in the entrypoint, or once per release with x-berth.release',
  },
  { key: 'pre_stop', reason: 'hooks are not yet supported; handle stop_signal in the program' },
  {
    key: 'oom_kill_disable',
    reason:
      'a container that cannot be killed when memory ends takes the host with it; remove it and set mem_limit',
    harmless: ['false'],
  },
  {
    key: 'oom_score_adj',
    reason:
      'it lets a tenant decide what dies first when the host is short of memory; remove it and set mem_limit',
    harmless: ['0'],
  },
  { key: 'storage_opt', reason: 'it depends on the storage driver of the host; remove it' },
];

/** Keys of the whole file. */
export const REFUSED_AT_TOP: readonly Row[] = [
  {
    key: 'include',
    reason: 'a template is one file; run `docker compose config` once and use what it prints',
  },
  {
    key: 'extends',
    reason: 'a template is one file; run `docker compose config` once and use what it prints',
  },
  { key: 'configs', reason: 'it is not yet supported: use environment, or put the file into the image' },
  {
    key: 'models',
    reason: 'it is not supported; run the model elsewhere and pass its address as a variable',
  },
];
