import type { Finding } from '@berth/shared/compose/findings';
import type { ReleaseDiff } from '@berth/shared/api/releases';
import type { Release } from '@berth/shared/api/schemas';
import { whoText } from '@berth/shared/domain/actor';
import { findingLines } from '../output/errors.ts';
import { timestamp } from '../output/format.ts';
import type { Output } from '../output/output.ts';
import { clean, type Style } from '../output/style.ts';
import { table } from '../output/table.ts';

/** What was found in a file and has no effect; nothing when there is nothing. */
export function noteWarnings(output: Output, file: string, warnings: readonly Finding[]): void {
  if (warnings.length === 0 || output.format !== 'human') return;
  output.note(`${output.errorStyle.yellow('warning:')} these have no effect here`);
  output.note(findingLines(file, warnings));
}

/** Releases as a table, newest first as they come. */
export function releaseTable(releases: readonly Release[], style: Style): string {
  const rows = releases.map((release) => [
    String(release.release),
    release.services.join(', '),
    release.images,
    labelText(release.labels),
    clean(whoText(release.createdBy)),
    timestamp(release.createdAt),
  ]);
  return table(['RELEASE', 'SERVICES', 'IMAGES', 'LABELS', 'BY', 'CREATED'], rows, style);
}

export function labelText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([name, value]) => clean(`${name}=${value}`))
    .join(' ');
}

/** `sha256:` and the first twelve characters, which is how people know an image's digest. */
export function shortDigests(text: string): string {
  return text.replaceAll(/@sha256:([0-9a-f]{12})[0-9a-f]{52}/g, '@sha256:$1…');
}

const TITLES = {
  images: 'Images',
  environment: 'Environment',
  limits: 'Limits',
  routes: 'Routes',
  other: 'Other',
};

export function diffView(diff: ReleaseDiff, style: Style): string {
  if (diff.changes.length === 0) return `Releases ${diff.from} and ${diff.to} of ${diff.app} run the same.`;
  const lines: string[] = [];
  let group: string | null = null;
  for (const change of diff.changes) {
    if (change.group !== group)
      lines.push(`${group === null ? '' : '\n'}${style.bold(TITLES[change.group])}`);
    group = change.group;
    const path = clean(
      [change.service ?? '', change.path === 'image' ? '' : change.path].filter(Boolean).join(' '),
    );
    const before = shown(change.before, style.red, style);
    lines.push(`  ${path}: ${before} → ${shown(change.after, style.green, style)}`);
  }
  if (diff.compared === 'template')
    lines.push(
      style.dim('\nCompared as written: these templates need the variables of a tenant to work out.'),
    );
  return lines.join('\n');
}

function shown(value: string | null, paint: (text: string) => string, style: Style): string {
  if (value === null) return style.dim('(none)');
  if (value === '') return style.dim('(empty)');
  const line = clean(shortDigests(value.replaceAll('\n', '\\n')));
  return paint(line.length > 120 ? `${line.slice(0, 119)}…` : line);
}
