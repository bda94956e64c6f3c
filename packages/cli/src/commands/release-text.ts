import type { Finding } from '@berth/shared/compose/findings';
import type { ReleaseDiff } from '@berth/shared/api/releases';
import type { Release } from '@berth/shared/api/schemas';
import { whoText } from '@berth/shared/domain/actor';
import { findingLines } from '../output/errors.ts';
import { timestamp } from '../output/format.ts';
import type { Output } from '../output/output.ts';
import { clean, type Style } from '../output/style.ts';
import { table } from '../output/table.ts';
import { fieldChange } from './change-words.ts';

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
    imagesWords(release.images),
    labelText(release.labels),
    clean(whoText(release.createdBy)),
    timestamp(release.createdAt),
  ]);
  return table(['RELEASE', 'SERVICES', 'IMAGES', 'LABELS', 'BY', 'CREATED'], rows, style);
}

/** Whether its images are fixed by their digests. */
export function imagesWords(images: Release['images']): string {
  return images === 'as-named' ? 'as named' : images;
}

export function labelText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([name, value]) => clean(`${name}=${value}`))
    .join(' ');
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
    const path = change.service === null ? change.path : `services.${change.service}.${change.path}`;
    const line = fieldChange({ ...change, path }, style, 2, '(none)');
    lines.push(`  ${change.path === 'image' ? line.replace(/ image:/, ':') : line}`);
  }
  if (diff.compared === 'template')
    lines.push(
      style.dim('\nCompared as written: these templates need the variables of a tenant to work out.'),
    );
  return lines.join('\n');
}
