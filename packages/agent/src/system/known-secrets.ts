import { formsOf, type Secret } from './redact.ts';

/** Whoever knows a tenant's secrets, told once the agent has put its parts together. */
export type SecretSource = (tenant: string) => Promise<readonly { name: string; value: Buffer }[]>;

/** What must not be told of a tenant's containers besides what their environment shows. */
export class KnownSecrets {
  #source: SecretSource | null = null;

  listenTo(source: SecretSource): void {
    this.#source = source;
  }

  /** Every form in which a value could be printed. Errors: the source's: then nothing may be told at all. */
  async of(tenant: string | undefined): Promise<Secret[]> {
    if (this.#source === null || tenant === undefined) return [];
    return (await this.#source(tenant)).flatMap(({ name, value }) => formsOf(name, value));
  }
}
