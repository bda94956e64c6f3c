import type { Row } from './fields.ts';

/** What people write under a service by mistake, and what they mean. */
export const MISTAKEN_IN_SERVICE: readonly Row[] = [
  { key: 'memory', reason: 'write mem_limit, or deploy.resources.limits.memory' },
  { key: 'memory_limit', reason: 'write mem_limit, or deploy.resources.limits.memory' },
  { key: 'cpu', reason: 'write cpus, or deploy.resources.limits.cpus' },
  { key: 'limits', reason: 'write mem_limit and cpus, or put it under deploy.resources' },
  { key: 'resources', reason: 'it stands under deploy' },
  { key: 'replicas', reason: 'write scale, or deploy.replicas' },
  { key: 'env', reason: 'write environment' },
  { key: 'cmd', reason: 'write command' },
  { key: 'args', reason: 'write command; arguments of a build stand under build' },
  { key: 'workdir', reason: 'write working_dir' },
  { key: 'health_check', reason: 'write healthcheck' },
  { key: 'domain', reason: 'a tenant brings its own domain; which service answers says x-berth.route' },
  { key: 'route', reason: 'it stands under x-berth' },
  { key: 'drain', reason: 'it stands under x-berth' },
  { key: 'strategy', reason: 'it stands under x-berth' },
];
