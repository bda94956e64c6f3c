import type { TenantRecord } from './records.ts';

type Routes = TenantRecord['routes'];

/**
 * Says that a release routes less than what a tenant has now, in a sentence; null when nothing is lost. What a release adds
 * is among the changes, and harms nobody.
 */
export function lostRoutes(release: number, before: Routes, after: Routes): string | null {
  const kept = new Set(after.map(textOf));
  const lost = [...new Set(before.map(textOf))].filter((route) => !kept.has(route));
  if (lost.length === 0) return null;
  const now = kept.size === 0 ? 'nothing' : listed([...kept]);
  return `Release ${release} routes ${now} and no longer ${listed(lost)}: who asks for what nothing routes gets 404.`;
}

/** `/api`, or `api.… /` below a subdomain. */
function textOf({ subdomain, path }: Routes[number]): string {
  const bare = path.replace(/\/+$/, '');
  return `${subdomain === '' ? '' : `${subdomain}.… `}${bare === '' ? '/' : bare}`;
}

/** Names that a sentence can hold. */
const NAMED = 5;

function listed(routes: string[]): string {
  const more = routes.length > NAMED ? ` and ${routes.length - NAMED} more` : '';
  return `${routes.sort().slice(0, NAMED).join(', ')}${more}`;
}
