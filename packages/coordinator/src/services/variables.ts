import { BerthError } from '@berth/shared/domain/errors';
import type { ConfigValue } from '@berth/shared/api/schemas';
import type { Variable } from '@berth/shared/compose/substitute';
import type { z } from 'zod';
import { LAYERS, type VariableRecord } from './records.ts';
import { secretRefsIn } from './secret-refs.ts';

export interface TenantIdentity {
  tenant: string;
  app: string;
  release: number;
  domains: readonly string[];
}

/** Values that Berth itself gives every tenant. Nobody can set them. */
export function builtinsOf(identity: TenantIdentity): Record<string, string> {
  return {
    BERTH_TENANT: identity.tenant,
    BERTH_APP: identity.app,
    BERTH_DOMAIN: identity.domains[0] ?? '',
    BERTH_RELEASE: String(identity.release),
  };
}

/** App, then release, then pool, then tenant: the later one wins. Built-ins stand above all. */
export function mergeVariables(
  identity: TenantIdentity,
  rows: readonly VariableRecord[],
): Record<string, string> {
  const merged: Record<string, string> = {};
  for (const scope of LAYERS) for (const row of rows) if (row.scope === scope) merged[row.name] = row.value;
  return { ...merged, ...builtinsOf(identity) };
}

/** The rows that reach a tenant, with its release's own variables among them. */
export function withRelease(
  rows: readonly VariableRecord[],
  release: { variables: Readonly<Record<string, string>> },
): VariableRecord[] {
  const own = Object.entries(release.variables).map(([name, value]): VariableRecord => ({
    scope: 'release',
    name,
    value,
  }));
  return [...rows, ...own];
}

/** The tenant's own rows as they would be after a change. */
export function withChanges(
  rows: readonly VariableRecord[],
  changes: Readonly<Record<string, string | null>>,
): VariableRecord[] {
  const kept = rows.filter((row) => row.scope !== 'tenant' || !Object.hasOwn(changes, row.name));
  const added = Object.entries(changes).flatMap(([name, value]): VariableRecord[] =>
    value === null ? [] : [{ scope: 'tenant', name, value }],
  );
  return [...kept, ...added];
}

/** Errors: `invalid_request` for a name that is Berth's own. */
export function checkNames(names: Iterable<string>): void {
  for (const name of names) {
    if (name.startsWith('BERTH_')) {
      throw new BerthError(
        'invalid_request',
        `The variable ${name} cannot be set: names that begin with BERTH_ are given by Berth. Choose another name.`,
        { details: { field: `variables.${name}` } },
      );
    }
  }
}

/** Every effective value with the layer it comes from, by name. */
export function configOf(
  identity: TenantIdentity,
  rows: readonly VariableRecord[],
  template: readonly Variable[],
): z.infer<typeof ConfigValue>[] {
  const values = new Map<string, z.infer<typeof ConfigValue>>();
  for (const variable of template) {
    values.set(
      variable.name,
      variable.default === undefined
        ? { name: variable.name, value: '', source: 'unset' }
        : { name: variable.name, value: variable.default, source: 'template-default' },
    );
  }
  for (const source of LAYERS)
    for (const row of rows)
      if (row.scope === source) values.set(row.name, { name: row.name, value: row.value, source });
  for (const [name, value] of Object.entries(builtinsOf(identity)))
    values.set(name, { name, value, source: 'builtin' });
  const secrets = [...secretRefsIn(rows).values()].map(
    ({ name, version, from }): z.infer<typeof ConfigValue> => ({
      name,
      value: from === undefined ? `version ${version}` : `version ${version}, ${from}`,
      source: 'secret',
    }),
  );
  return [...values.values(), ...secrets].sort((a, b) => (a.name < b.name ? -1 : 1));
}
