import { isImage } from './container.ts';
import { Findings, type Finding } from './findings.ts';
import { evaluate, parseInterpolation } from './interpolate.ts';
import { readTree, type Entry, type Tree } from './positions.ts';
import type { Template } from './template.ts';

export type TemplateImages =
  { ok: true; images: { service: string; image: string }[] } | { ok: false; errors: Finding[] };

/** These are another for each tenant, or not known before the release exists. */
const NOT_YET = /^BERTH_(TENANT|DOMAIN|RELEASE)$/;

/**
 * The image of each service that a tenant runs, in the file's order, filled in without any tenant's variables. Each one
 * that a missing variable leaves open is an error with its line. Never throws.
 */
export function imagesOf(template: Template, variables: Readonly<Record<string, string>>): TemplateImages {
  const findings = new Findings();
  const tree = readTree(template.text, findings);
  const lookup = (name: string): string | undefined =>
    Object.hasOwn(variables, name) ? variables[name] : undefined;
  const images: { service: string; image: string }[] = [];
  for (const { key: service, value } of entriesOf(tree, 'services')) {
    if (!template.services.includes(service)) continue;
    const node =
      value.kind === 'map' ? value.entries.find((entry) => entry.key === 'image')?.value : undefined;
    if (node?.kind !== 'scalar') continue;
    const parsed = parseInterpolation(node.text);
    if (!parsed.ok) {
      findings.error(node, parsed.message);
      continue;
    }
    const done = evaluate(parsed.parts, lookup);
    const missing = [...new Set([...done.missing.map(({ name }) => name), ...done.unset])];
    for (const name of missing) findings.error(node, sentence(service, name));
    if (missing.length > 0) continue;
    if (isImage(done.text)) images.push({ service, image: done.text });
    else
      findings.error(
        node,
        `the image of ${service} is not the name of an image once its variables are filled in`,
      );
  }
  return findings.failed ? { ok: false, errors: findings.errors } : { ok: true, images };
}

function sentence(service: string, name: string): string {
  return NOT_YET.test(name)
    ? `the image of ${service} needs \`${name}\`, which is another for each tenant or release; a pinned release has one image for all`
    : `the image of ${service} needs the variable \`${name}\`, which the release does not know; give it with --set ${name}=…, or a default in the file`;
}

function entriesOf(tree: Tree | undefined, key: string): Entry[] {
  if (tree?.kind !== 'map') return [];
  const node = tree.entries.find((entry) => entry.key === key)?.value;
  return node?.kind === 'map' ? node.entries : [];
}
