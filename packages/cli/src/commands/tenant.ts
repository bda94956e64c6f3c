import type { Register } from './define.ts';
import { registerTenantChanges } from './tenant-change.ts';
import { registerTenantCreate } from './tenant-create.ts';
import { registerTenantLook } from './tenant-look.ts';
import { registerTenantSet } from './tenant-set.ts';

export const registerTenant: Register = (program, contextOf) => {
  const tenant = program.command('tenant').description("tenants: each customer's own copy of an app");
  registerTenantCreate(tenant, contextOf);
  registerTenantSet(tenant, contextOf);
  registerTenantChanges(tenant, contextOf);
  registerTenantLook(tenant, contextOf);
};
