import type { Host } from '@berth/shared/api/schemas';
import type { Style } from '../output/style.ts';

/**
 * The Nginx of a host, in words. The agent starts it with the first thing it is asked to run, so that before that it is
 * not down but not needed; later it runs without tenants too.
 */
export function nginxText(
  { revision, tenants, report }: Pick<Host, 'revision' | 'tenants' | 'report'>,
  style: Style,
): string {
  if (report?.nginx === 'up') return style.green('up');
  const needed = revision > 0 || tenants > 0 || (report?.orphans.length ?? 0) > 0;
  return needed ? style.red('down') : style.dim('not started: no tenant yet');
}
