import type { SecretRef } from '../domain/secret.ts';
import { TenantSpec } from '../domain/spec.ts';
import type { Finding } from './findings.ts';
import { Findings, pathOf } from './findings.ts';
import { readTree, type Tree } from './positions.ts';
import { Variables } from './substitute.ts';
import type { Template } from './template.ts';
import { readTenant } from './tenant.ts';

export type RenderResult =
  { ok: true; spec: TenantSpec; warnings: Finding[] } | { ok: false; errors: Finding[]; warnings: Finding[] };

/**
 * Fills a template's variables in and decides every default. Equal input gives equal output. No finding ever holds the
 * value of a variable. Never throws.
 */
export function renderTenant(
  template: Template,
  variables: Readonly<Record<string, string>>,
  secrets: ReadonlyMap<string, SecretRef> = new Map(),
): RenderResult {
  const findings = new Findings();
  const failed = (): RenderResult => ({ ok: false, errors: findings.errors, warnings: findings.warnings });
  const tree = treeOf(template, findings);
  if (tree === undefined || findings.failed) return failed();
  const lookup = (name: string): string | undefined =>
    Object.hasOwn(variables, name) ? variables[name] : undefined;
  const filling = {
    mode: 'render' as const,
    lookup,
    secrets: (name: string) => secrets.get(name),
    findings,
    variables: new Variables(),
  };
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

/** A template is rendered for one tenant after another; reading its YAML costs several times what filling it in does. */
const trees = new WeakMap<Template, Tree>();

function treeOf(template: Template, findings: Findings): Tree | undefined {
  const known = trees.get(template);
  if (known !== undefined) return known;
  const tree = readTree(template.text, findings);
  // A tree about which there is something to say is read each time, so that it is said each time.
  if (tree !== undefined && !findings.failed && findings.warnings.length === 0)
    trees.set(template, frozen(tree));
  return tree;
}

/** Whoever would change a tree that others read as well is told so at once. */
function frozen(tree: Tree): Tree {
  if (tree.kind === 'map')
    for (const entry of Object.freeze(tree.entries)) frozen(Object.freeze(entry).value);
  if (tree.kind === 'list') for (const item of Object.freeze(tree.items)) frozen(item);
  return Object.freeze(tree);
}
