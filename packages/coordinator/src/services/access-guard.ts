import type { RouteDefinition, RouteSubject } from '@berth/shared/api/route';
import { covers, isEverything, mayDo, scopeFault, type Place, type Role } from '@berth/shared/domain/access';
import { BerthError, unreachable } from '@berth/shared/domain/errors';
import type { Caller } from './access.ts';
import type { StoreReads } from './store.ts';

/** What a request names, after it was checked: from its path and its body. */
export type Named = Readonly<Record<string, unknown>>;

/** What a guard asks the store. */
export type Places = Pick<StoreReads, 'tenant' | 'host' | 'rollout'>;

const NO_PLACE: Place = { app: null, pool: null, tenant: null };

/** Errors: `forbidden` when the caller's role does not reach. */
export function requireRole(caller: Pick<Caller, 'role' | 'scope'>, needed: Role): void {
  if (!mayDo(caller.role, needed)) {
    throw new BerthError(
      'forbidden',
      `This needs the role ${needed}; this token has the role ${caller.role}.`,
      { details: { needed, role: caller.role } },
    );
  }
  // Kept from before deployers had scopes, or written by hand: nothing is in its scope.
  const fault = scopeFault(caller.role, caller.scope);
  if (fault !== null) throw new BerthError('forbidden', `${fault} This token is good for nothing.`);
}

/**
 * Lets a caller through to what a route is about, or says that there is no such thing: in the same words whether it is
 * missing or somebody else's, so that names cannot be tried out. Errors: `not_found`; `forbidden` for what concerns
 * everybody at once.
 */
export async function requireScope(
  places: Places,
  { scope }: Pick<Caller, 'scope'>,
  route: Pick<RouteDefinition, 'on'>,
  named: Named,
): Promise<void> {
  if (isEverything(scope)) return;
  const { on } = route;
  switch (on) {
    case 'nothing':
    case 'listed':
      return;
    case 'coordinator':
      throw new BerthError(
        'forbidden',
        'This concerns everybody, so it needs a token without a scope; this one has a scope.',
      );
    case 'app':
    case 'pool':
    case 'tenant':
    case 'host':
    case 'rollout': {
      const name = nameIn(named, on);
      const place = name === null ? null : await placeOf(places, on, name);
      if (place === null || !covers(scope, place)) throw notThere(on, name ?? '');
      return;
    }
    case 'new-tenant':
      await requireNewTenant(places, scope, named);
      return;
    default:
      unreachable(on);
  }
}

/** Whether the name of what a route is about comes in its body; else it is in the path, or there is none. */
export function subjectIsInBody({ on, path }: Pick<RouteDefinition, 'on' | 'path'>): boolean {
  switch (on) {
    case 'nothing':
    case 'listed':
    case 'coordinator':
      return false;
    case 'new-tenant':
      return true;
    case 'app':
    case 'pool':
    case 'tenant':
    case 'host':
    case 'rollout':
      return !path.includes(`{${on}}`);
    default:
      return unreachable(on);
  }
}

/** Errors: `not_found` that does not tell whether the thing exists. */
function notThere(what: RouteSubject, name: string): BerthError {
  return new BerthError(
    'not_found',
    `There is no ${what} ${name} that this token can see. What it is good for says "berth token list" to an admin.`,
  );
}

async function placeOf(
  places: Places,
  on: 'app' | 'pool' | 'tenant' | 'host' | 'rollout',
  name: string,
): Promise<Place | null> {
  switch (on) {
    // Whoever has an app or a pool in scope may also make it, so they need not be there.
    case 'app':
      return { ...NO_PLACE, app: name };
    case 'pool':
      return { ...NO_PLACE, pool: name };
    case 'tenant': {
      const tenant = await places.tenant(name);
      return tenant === null ? null : { app: tenant.app, pool: tenant.pool, tenant: tenant.tenant };
    }
    case 'host': {
      const host = await places.host(name);
      return host === null ? null : { ...NO_PLACE, pool: host.pool };
    }
    case 'rollout': {
      const rollout = await places.rollout(Number(name));
      return rollout === null ? null : { ...NO_PLACE, app: rollout.app };
    }
    default:
      return unreachable(on);
  }
}

/**
 * A tenant that is to be made is where its request puts it: its app or its pool must be in scope, and a host that it names
 * by itself. Its name alone does not do: whoever may change one tenant would else take it to any app and any pool.
 */
async function requireNewTenant(places: Places, scope: Caller['scope'], named: Named): Promise<void> {
  const [app, pool, host] = ['app', 'pool', 'host'].map((what) => nameIn(named, what));
  let of = pool ?? null;
  if (host !== null && host !== undefined) {
    const place = await placeOf(places, 'host', host);
    if (place === null || !covers(scope, place)) throw notThere('host', host);
    of ??= place.pool;
  }
  const place = { app: app ?? null, pool: of ?? 'default', tenant: null };
  if (!covers(scope, place)) throw notThere('app', app ?? '');
}

function nameIn(named: Named, what: string): string | null {
  const name = named[what];
  return typeof name === 'string' || typeof name === 'number' ? String(name) : null;
}
