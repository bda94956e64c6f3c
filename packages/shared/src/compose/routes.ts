import type { Findings } from './findings.ts';
import type { ServiceDraft } from './service.ts';

/**
 * When no service has an x-berth.route and exactly one publishes a port that may speak HTTP, that port is the route.
 * Changes the draft. True when some service is routed, or will be once its variables are known.
 */
export function deriveRoute(f: Findings, drafts: readonly ServiceDraft[]): boolean {
  if (drafts.some((draft) => draft.routeAt !== undefined)) return true;
  const able = drafts.filter(
    (draft) => draft.ports !== undefined && (draft.ports.http.length > 0 || draft.ports.open),
  );
  const [only] = able;
  if (only?.ports === undefined) return false;
  const [port] = only.ports.http;
  if (able.length > 1 || only.ports.http.length > 1) {
    for (const draft of able) {
      if (draft.ports !== undefined) {
        f.warn(
          draft.ports.at,
          'nothing is routed: several ports could be meant; add x-berth.route to the service that answers',
        );
      }
    }
    return false;
  }
  if (port === undefined) return true;
  f.warn(
    only.ports.at,
    `requests are routed to port ${port} of \`${only.spec.name}\`, the only one that could be meant; add x-berth.route to choose`,
  );
  only.spec.route = { port, path: '/', health: '/' };
  only.routeAt = only.ports.at;
  return true;
}

/** Two services cannot answer the same requests, and a service that is replaced in place stops answering meanwhile. */
export function checkRoutes(f: Findings, drafts: readonly ServiceDraft[]): void {
  const taken = new Map<string, string>();
  for (const draft of drafts) {
    const { route, strategy, name } = draft.spec;
    if (route === undefined || draft.routeAt === undefined || draft.open) continue;
    const key = `${route.subdomain ?? ''} ${route.path.replace(/\/+$/, '')}`;
    const other = taken.get(key);
    if (other !== undefined)
      f.error(
        draft.routeAt,
        `\`${other}\` already has this route; give one of them another path or subdomain`,
      );
    taken.set(key, other ?? name);
    if (strategy === 'blue-green') continue;
    const why =
      strategy === 'in-place' && draft.strategyAt === undefined
        ? 'it has volumes, so its strategy is in-place'
        : `its strategy is ${strategy}`;
    f.warn(draft.strategyAt ?? draft.routeAt, `a deploy interrupts \`${name}\` for a moment: ${why}`);
  }
}
