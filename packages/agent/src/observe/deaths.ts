import type { DockerEvent } from '../system/docker-types.ts';
import { AGENT_LABEL } from '../system/labels.ts';

/** A signal that someone sent explains an end that comes within this time. */
const KILL_EXPLAINS_MS = 60_000;

/** An end longer ago than this says nothing about how a container fares now. */
const LATELY_MS = 600_000;
/** More ends of one container than this are not kept apart. */
const MOST = 20;

/** How often each container ended by itself lately; one that was stopped by us or by a person did not. */
export class Deaths {
  readonly #agent: string;
  readonly #stopping: ReadonlySet<string>;
  readonly #ends = new Map<string, number[]>();
  readonly #killedAt = new Map<string, number>();

  constructor(agent: string, stopping: ReadonlySet<string>) {
    this.#agent = agent;
    this.#stopping = stopping;
  }

  of(id: string, now: number): number {
    return this.#ends.get(id)?.filter((at) => now - at < LATELY_MS).length ?? 0;
  }

  /** Takes in one event; whether it concerns us, in a word for the log, or null. */
  take(event: DockerEvent, now: number): string | null {
    // Networks carry no labels in their events; they are few, so each of them counts.
    if (event.type === 'network') return `network ${event.action}`;
    if (event.type !== 'container' || event.attributes[AGENT_LABEL] !== this.#agent) return null;
    const { id } = event;
    switch (event.action) {
      case 'kill':
        this.#killedAt.set(id, now);
        return null;
      case 'die': {
        const killed = this.#killedAt.get(id);
        const asked = this.#stopping.has(id) || (killed !== undefined && now - killed < KILL_EXPLAINS_MS);
        if (!asked) this.#ends.set(id, [...(this.#ends.get(id) ?? []), now].slice(-MOST));
        break;
      }
      case 'start':
        this.#killedAt.delete(id);
        break;
      case 'destroy':
        this.#ends.delete(id);
        this.#killedAt.delete(id);
        break;
      default:
        break;
    }
    return `container ${event.action}`;
  }
}
