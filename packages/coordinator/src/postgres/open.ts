import type { Postgres } from '../services/postgres.ts';

/** Servers for tenants' databases. What speaks to them is loaded with the first of them: most coordinators have none. */
export function openPostgres(): Postgres {
  return {
    async connect(server, address) {
      const [{ connect }, { factsOf }, { provision }, { drop }] = await Promise.all([
        import('./client.ts'),
        import('./facts.ts'),
        import('./provision.ts'),
        import('./drop.ts'),
      ]);
      const admin = await connect(server, address);
      return {
        facts: () => factsOf(server, admin),
        provision: (plan) => provision(server, address, admin, plan),
        drop: (plan) => drop(server, address, admin, plan),
        close: () => admin.close(),
      };
    },
  };
}
