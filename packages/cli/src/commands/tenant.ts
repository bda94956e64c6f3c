import type { Register } from './define.ts';
import { registerTenantChanges } from './tenant-change.ts';
import { registerTenantCreate } from './tenant-create.ts';
import { registerTenantLook } from './tenant-look.ts';
import { registerTenantRelease } from './tenant-release.ts';
import { registerTenantRollouts } from './tenant-rollouts.ts';
import { registerTenantSecret } from './tenant-secret.ts';
import { registerTenantSet } from './tenant-set.ts';

export const registerTenant: Register = (program, contextOf) => {
  const tenant = program.command('tenant').description("tenants: each customer's own copy of an app");
  registerTenantCreate(tenant, contextOf);
  registerTenantSet(tenant, contextOf);
  registerTenantChanges(tenant, contextOf);
  registerTenantRelease(tenant, contextOf);
  registerTenantRollouts(tenant, contextOf);
  registerTenantSecret(tenant, contextOf);
  registerTenantLook(tenant, contextOf);
};
