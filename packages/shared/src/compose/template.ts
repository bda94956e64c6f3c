import type { DatabaseWish } from '../domain/database.ts';
import type { Finding } from './findings.ts';
import { Findings } from './findings.ts';
import { readTree } from './positions.ts';
import type { Variable } from './substitute.ts';
import { Variables } from './substitute.ts';
import { readTenant } from './tenant.ts';

/** A checked compose file. Plain JSON: it is stored with the release. */
export interface Template {
  /** From the file's `name`; empty when there is none, or when it depends on a variable. */
  name: string;
  text: string;
  /** The content of each env file by the path written in the compose file. */
  envFiles: Record<string, string>;
  /** The services that a tenant runs, in dependency order. */
  services: string[];
  variables: Variable[];
  /** Some service answers requests. */
  routed: boolean;
  /** Whose the tenant's database is, where the file asks for one. */
  database?: DatabaseWish['kind'];
}

export interface TemplateSource {
  text: string;
  envFiles?: Record<string, string>;
}

export type TemplateResult =
  | { ok: true; template: Template; warnings: Finding[] }
  | { ok: false; errors: Finding[]; warnings: Finding[] };

/**
 * Checks a compose file as deeply as can be done without a tenant's variables: a value that holds a variable without a
 * default is taken on trust until it is rendered. All errors are returned at once. Never throws.
 *
 * Where Berth decides differently from Compose: a service restarts `always` unless the file says otherwise (Compose:
 * `no`), since a tenant's services should come back; and every container has limits.
 */
export function parseTemplate(source: TemplateSource): TemplateResult {
  const findings = new Findings();
  const envFiles = source.envFiles ?? {};
  const tree = readTree(source.text, findings);
  if (tree === undefined || findings.failed)
    return { ok: false, errors: findings.errors, warnings: findings.warnings };
  const variables = new Variables();
  const tenant = readTenant(tree, { mode: 'check', lookup: () => undefined, findings, variables }, envFiles);
  if (findings.failed) return { ok: false, errors: findings.errors, warnings: findings.warnings };
  const template: Template = {
    name: tenant.name,
    text: source.text,
    envFiles: { ...envFiles },
    services: tenant.spec.services.map((service) => service.name),
    variables: variables.list(),
    routed: tenant.routed,
    ...(tenant.spec.database === undefined ? {} : { database: tenant.spec.database.kind }),
  };
  return { ok: true, template, warnings: findings.warnings };
}
