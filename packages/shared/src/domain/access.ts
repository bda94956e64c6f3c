import { z } from 'zod';
import { AppName, PoolName, TenantName } from './ids.ts';

/** Each role may do what the ones before it may, within its scope. */
export const Role = z.enum(['viewer', 'deployer', 'operator', 'admin']);
export type Role = z.infer<typeof Role>;

const RANK: Readonly<Record<Role, number>> = { viewer: 1, deployer: 2, operator: 3, admin: 4 };

/** Whether a role reaches what a route asks for. */
export function mayDo(role: Role, needed: Role): boolean {
  return RANK[role] >= RANK[needed];
}

/** What a token is good for: these apps, whatever is in these pools, and these tenants. All empty: everything. */
export const AccessScope = z.strictObject({
  apps: z.array(AppName).max(100).default([]),
  pools: z.array(PoolName).max(100).default([]),
  tenants: z.array(TenantName).max(100).default([]),
});
export type AccessScope = z.infer<typeof AccessScope>;

export const EVERYTHING: AccessScope = { apps: [], pools: [], tenants: [] };

export function isEverything({ apps, pools, tenants }: AccessScope): boolean {
  return apps.length === 0 && pools.length === 0 && tenants.length === 0;
}

/** Where a thing is: an app has only its app, a host only its pool, a tenant all three. */
export interface Place {
  app: string | null;
  pool: string | null;
  tenant: string | null;
}

/** Whether a thing's app, its pool or its own name is named. */
export function covers(scope: AccessScope, { app, pool, tenant }: Place): boolean {
  if (isEverything(scope)) return true;
  return (
    (app !== null && scope.apps.includes(app)) ||
    (pool !== null && scope.pools.includes(pool)) ||
    (tenant !== null && scope.tenants.includes(tenant))
  );
}

/** Why this role cannot have this scope, in a sentence; null when it can. */
export function scopeFault(role: Role, scope: AccessScope): string | null {
  if (role !== 'deployer') return null;
  if (scope.apps.length === 0)
    return 'A deployer must be told its apps: it creates releases of them and runs their rollouts, and nothing else.';
  if (scope.pools.length > 0 || scope.tenants.length > 0)
    return 'A deployer is bound to apps alone: a rollout reaches all tenants of its app, wherever they are.';
  return null;
}

/** For people: `everything`, or `apps shop; pools eu-1`. */
export function scopeText(scope: AccessScope): string {
  if (isEverything(scope)) return 'everything';
  const parts: [string, readonly string[]][] = [
    ['app', scope.apps],
    ['pool', scope.pools],
    ['tenant', scope.tenants],
  ];
  return parts
    .filter(([, names]) => names.length > 0)
    .map(([what, names]) => `${what}${names.length === 1 ? '' : 's'} ${names.join(', ')}`)
    .join('; ');
}

/** A text of several lines, such as a file: tabs and line ends are the only control characters in it. */
export const textLines = (most: number) =>
  z
    .string()
    .max(most)
    .refine((text) => !/[^\P{Cc}\t\n\r]/u.test(text), {
      error: 'must have no control characters but tabs and line ends',
    });

/** A text that people give a thing: one line, without control or direction characters, which could disguise it. */
export const plainText = (most: number, least = 1) =>
  z
    .string()
    .min(least)
    .max(most)
    .regex(/^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]*$/u, { error: 'must be one line without control characters' });
