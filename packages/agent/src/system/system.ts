import { HostConfig } from './config.ts';
import { Connections } from './connections.ts';
import { DockerClient } from './docker.ts';
import { EgressBook } from './egress-book.ts';
import { NetworkCache } from './network-cache.ts';
import { Nft } from './nft.ts';
import { KnownSecrets } from './known-secrets.ts';
import { MAINTENANCE_ADDRESS, NginxControl, UNROUTED_ADDRESS } from './nginx.ts';
import { pathsOf, type SystemPaths } from './paths.ts';
import { RouteTable } from './route-table.ts';

/** The host's parts, shared by observer and executor: one set per agent. */
export interface System {
  readonly config: HostConfig;
  readonly paths: SystemPaths;
  readonly docker: DockerClient;
  readonly nft: Nft;
  readonly nginx: NginxControl;
  readonly routes: RouteTable;
  readonly networks: NetworkCache;
  readonly egress: EgressBook;
  readonly connections: Connections;
  readonly secrets: KnownSecrets;
  /** Containers that we ourselves are stopping now: their end is no death. */
  readonly stopping: Set<string>;
  close(): void;
}

/** Connects to nothing yet. Throws a ZodError when the configuration is wrong. */
export function createSystem(input: HostConfig): System {
  const config = HostConfig.parse(input);
  const paths = pathsOf(config.stateDir);
  const docker = new DockerClient(config.dockerSocket);
  const nft = new Nft(config.agent);
  const port = config.nginx.internalPort;
  return {
    config,
    paths,
    docker,
    nft,
    nginx: new NginxControl(config.nginx, paths),
    routes: new RouteTable(nft, {
      maintenance: { address: MAINTENANCE_ADDRESS, port },
      unrouted: { address: UNROUTED_ADDRESS, port },
    }),
    networks: new NetworkCache(docker, config.agent),
    egress: new EgressBook(),
    connections: new Connections(),
    secrets: new KnownSecrets(),
    stopping: new Set(),
    close() {
      docker.close();
    },
  };
}
