import { createAccess, type Access } from './access.ts';
import { createApps, type Apps } from './apps.ts';
import type { ServiceContext } from './context.ts';
import { createDatabases, type Databases } from './databases.ts';
import { createHosts, type Hosts } from './hosts.ts';
import { createPoolJoins, type PoolJoins } from './pool-join.ts';
import { createOidc, type Oidc } from './oidc.ts';
import { createPools, type Pools } from './pools.ts';
import { createPoolSigners, type PoolSignersService } from './pool-signers.ts';
import { createReleases, type Releases } from './releases.ts';
import type { RolloutPort } from './rollout-driver.ts';
import { createRollouts, type Rollouts } from './rollouts.ts';
import { createSecrets, type Secrets } from './secrets.ts';
import { createStatus, type Status } from './status.ts';
import type { TemplateCache } from './templates.ts';
import { createTenantQuestions, type TenantQuestions } from './tenant-questions.ts';
import { createTenantReleases, type TenantReleases } from './tenant-release.ts';
import { createTenants, type Tenants } from './tenants.ts';

export interface Services {
  apps: Apps;
  releases: Releases;
  tenants: Tenants;
  questions: TenantQuestions;
  tenantReleases: TenantReleases;
  rollouts: Rollouts;
  hosts: Hosts;
  pools: Pools;
  poolJoins: PoolJoins;
  poolSigners: PoolSignersService;
  access: Access;
  oidc: Oidc;
  status: Status;
  secrets: Secrets;
  databases: Databases;
}

/** The rules of the coordinator over one store and one fleet. */
export function createServices(
  context: ServiceContext,
  about: { version: string; startedAt: number },
  { templates, driver }: { templates: TemplateCache; driver: RolloutPort },
): Services {
  return {
    apps: createApps(context, driver),
    releases: createReleases(context, templates),
    tenants: createTenants(context, templates),
    questions: createTenantQuestions(context, templates),
    tenantReleases: createTenantReleases(context, templates),
    rollouts: createRollouts(context, templates, driver),
    hosts: createHosts(context),
    pools: createPools(context),
    poolJoins: createPoolJoins(context),
    poolSigners: createPoolSigners(context),
    access: createAccess(context),
    oidc: createOidc(context, context.identity),
    status: createStatus(context, about),
    secrets: createSecrets(context),
    databases: createDatabases(context),
  };
}
