import { BerthError } from '@berth/shared/domain/errors';

interface Plan {
  role: string;
  database: string;
  schema: string | null;
  mark: string;
  tenant: string;
  app: string;
  password: string;
  connections: number;
}

/** A server that remembers what it was asked to make. `state` and `breaks` say how it fails. */
export class FakePostgres {
  readonly roles = new Map<string, Plan>();
  readonly addresses: { host: string; user: string; password: string }[] = [];
  connections = 0;
  state: 'up' | 'away' = 'up';
  /** `after`: what was asked for is done, and the answer is lost. */
  breaks: 'no' | 'before' | 'after' = 'no';
  /** Called while something is being made. */
  meanwhile: () => Promise<void> = () => Promise.resolve();

  connect(server: string, address: { host: string; user: string; password: string }) {
    this.addresses.push(address);
    if (this.state === 'away')
      return Promise.reject(new BerthError('unavailable', `Database server ${server}: nothing answers.`));
    this.connections += 1;
    return Promise.resolve({
      facts: () =>
        Promise.resolve({
          version: '15.8',
          tls: 'plain' as const,
          connections: { most: 100, used: 90 },
          open: ['postgres'],
        }),
      provision: async (plan: Plan) => {
        const lost = new BerthError('unavailable', `Database server ${server} went away.`);
        if (this.breaks === 'before') throw lost;
        const present = this.roles.get(plan.role);
        if (present !== undefined && present.mark !== plan.mark)
          throw new BerthError('conflict', `Database server ${server} has a role ${plan.role} already.`);
        await this.meanwhile();
        this.roles.set(plan.role, plan);
        if (this.breaks === 'after') throw lost;
      },
      drop: (plan: Pick<Plan, 'role'>) => {
        if (this.breaks === 'before')
          return Promise.reject(new BerthError('unavailable', `Database server ${server} went away.`));
        this.roles.delete(plan.role);
        return Promise.resolve();
      },
      close: () => {
        this.connections -= 1;
        return Promise.resolve();
      },
    });
  }
}
