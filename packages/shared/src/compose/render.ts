import { TenantSpec } from '../domain/spec.ts';
import type { Finding } from './findings.ts';
import { Findings, pathOf } from './findings.ts';
import { readTree } from './positions.ts';
import { Variables } from './substitute.ts';
import type { Template } from './template.ts';
import { readTenant } from './tenant.ts';

export type RenderResult =
  { ok: true; spec: TenantSpec; warnings: Finding[] } | { ok: false; errors: Finding[]; warnings: Finding[] };

/**
 * Fills a template's variables in and decides every default. Equal input gives equal output. No finding ever holds the
 * value of a variable. Never throws.
 */
export function renderTenant(template: Template, variables: Readonly<Record<string, string>>): RenderResult {
  const findings = new Findings();
  const failed = (): RenderResult => ({ ok: false, errors: findings.errors, warnings: findings.warnings });
  const tree = readTree(template.text, findings);
  if (tree === undefined || findings.failed) return failed();
  const lookup = (name: string): string | undefined =>
    Object.hasOwn(variables, name) ? variables[name] : undefined;
  const filling = { mode: 'render' as const, lookup, findings, variables: new Variables() };
  const tenant = readTenant(tree, filling, template.envFiles);
  if (findings.failed) return failed();
  const spec = TenantSpec.safeParse(tenant.spec);
  if (spec.success) return { ok: true, spec: spec.data, warnings: findings.warnings };
  // Every rule of the spec is checked above with a better sentence; this is the net below it.
  for (const issue of spec.error.issues) {
    const [list, index, ...rest] = issue.path;
    const service =
      list === 'services' && typeof index === 'number' ? tenant.spec.services[index]?.name : undefined;
    const path = [...(service === undefined ? [] : ['services', service]), ...rest.map(String)].reduce(
      pathOf,
      '',
    );
    findings.error({ line: 1, column: 1, path }, issue.message);
  }
  return failed();
}
