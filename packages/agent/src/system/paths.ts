import { join } from 'node:path';

/** Files the agent keeps for the network and for Nginx; a boot unit needs the first three and no Node. */
export interface SystemPaths {
  /** Chains, sets and isolation rules: `nft -f`. */
  staticNft: string;
  /** The route map's elements: `nft -f`, after the static part. */
  routesNft: string;
  /** `ip -batch`. */
  ipBatch: string;
  nginxDir: string;
  nginxConf: string;
  nginxPid: string;
  /** What Nginx was last reloaded with. */
  nginxLive: string;
  /** Sealed secrets, and below it `open`, a file system in memory. */
  secretsDir: string;
  /** A file system of its own in memory, where Nginx writes down requests. */
  requestsDir: string;
}

export function pathsOf(stateDir: string): SystemPaths {
  const nginxDir = join(stateDir, 'nginx');
  return {
    staticNft: join(stateDir, 'network', 'static.nft'),
    routesNft: join(stateDir, 'network', 'routes.nft'),
    ipBatch: join(stateDir, 'network', 'ip.batch'),
    nginxDir,
    nginxConf: join(nginxDir, 'nginx.conf'),
    nginxPid: join(nginxDir, 'nginx.pid'),
    nginxLive: join(nginxDir, 'live.json'),
    requestsDir: join(nginxDir, 'requests'),
    secretsDir: join(stateDir, 'secrets'),
  };
}
