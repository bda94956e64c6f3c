import { appsRoutes } from './routes/apps.ts';
import { coordinatorRoutes } from './routes/coordinator.ts';
import { databasesRoutes } from './routes/databases.ts';
import { hostsRoutes } from './routes/hosts.ts';
import { oidcRoutes } from './routes/oidc.ts';
import { journalRoutes } from './routes/journal.ts';
import { poolsRoutes } from './routes/pools.ts';
import { releasesRoutes } from './routes/releases.ts';
import { rolloutsRoutes } from './routes/rollouts.ts';
import { secretsRoutes } from './routes/secrets.ts';
import { tenantsRoutes } from './routes/tenants.ts';
import { tokensRoutes } from './routes/tokens.ts';

/** Every JSON route of the API. The two streams, /events/stream (SSE) and /agent/connect (WebSocket), stand beside it. */
export const routes = {
  ...coordinatorRoutes,
  ...appsRoutes,
  ...releasesRoutes,
  ...tenantsRoutes,
  ...secretsRoutes,
  ...databasesRoutes,
  ...hostsRoutes,
  ...poolsRoutes,
  ...journalRoutes,
  ...tokensRoutes,
  ...oidcRoutes,
  ...rolloutsRoutes,
} as const;

export type Routes = typeof routes;
export type RouteName = keyof Routes;

export const API_PREFIX = '/api/v1';
