import type { Row } from './fields.ts';

/** Keys of a service that are read past, with the sentence that says why. */
export const IGNORED_IN_SERVICE: readonly Row[] = [
  { key: 'container_name', reason: 'Berth names the containers, since every tenant has its own' },
  { key: 'expose', reason: 'services of a tenant reach every port of each other; remove it' },
  { key: 'platform', reason: 'the image must fit the hosts it runs on' },
  { key: 'develop', reason: 'it is for working on the app with `docker compose watch`' },
  { key: 'attach', reason: 'it is for the terminal of `docker compose up`', harmless: ['true'] },
  { key: 'annotations', reason: 'annotations are not passed on; use labels' },
  { key: 'cap_drop', reason: 'every capability is dropped already, unless x-berth.profile is compatible' },
  { key: 'domainname', reason: 'containers have no domain name of their own; set hostname' },
  { key: 'dns', reason: 'names are resolved by Docker, so that services find each other' },
  { key: 'dns_search', reason: 'names are resolved by Docker, so that services find each other' },
  { key: 'dns_opt', reason: 'names are resolved by Docker, so that services find each other' },
  { key: 'mac_address', reason: 'Berth assigns the addresses' },
  { key: 'blkio_config', reason: 'disk throughput is not shared out' },
  { key: 'cpu_count', reason: 'set cpus' },
  { key: 'cpu_percent', reason: 'set cpus' },
  { key: 'cpu_shares', reason: 'set cpus' },
  { key: 'cpu_period', reason: 'set cpus' },
  { key: 'cpu_quota', reason: 'set cpus' },
  { key: 'cpu_rt_period', reason: 'set cpus' },
  { key: 'cpu_rt_runtime', reason: 'set cpus' },
  { key: 'cpuset', reason: 'Berth places containers; set cpus' },
  { key: 'memswap_limit', reason: 'containers get no swap beyond their memory limit' },
  { key: 'mem_swappiness', reason: 'containers get no swap beyond their memory limit' },
];

export const IGNORED_AT_TOP: readonly Row[] = [
  { key: 'version', reason: 'it is obsolete in Compose; remove it' },
];

export const IGNORED_IN_DEPLOY: readonly Row[] = [
  { key: 'mode', reason: 'every service runs as many containers as replicas says', harmless: ['replicated'] },
  { key: 'placement', reason: 'Berth chooses the host of the whole tenant' },
  { key: 'update_config', reason: 'x-berth.strategy and the rollout decide how a service is updated' },
  { key: 'rollback_config', reason: 'the rollout decides when to go back' },
  { key: 'labels', reason: 'there is no Swarm service to label; use labels of the service' },
  { key: 'endpoint_mode', reason: 'there is no Swarm service to reach' },
];

/** Keys of `networks: {name: …}` and `services.x.networks: {name: …}`: one warning covers them all. */
export const NETWORK_KEYS: readonly string[] = [
  'driver',
  'driver_opts',
  'attachable',
  'internal',
  'ipam',
  'labels',
  'name',
  'external',
  'enable_ipv4',
  'enable_ipv6',
  'aliases',
  'ipv4_address',
  'ipv6_address',
  'link_local_ips',
  'mac_address',
  'priority',
  'gw_priority',
  'interface_name',
];
