import type { Migration } from '../migrate.ts';
import { foundation } from './0001-foundation.ts';

/** In order. A migration that was released is never edited; a new one is added. */
export const migrations: readonly Migration[] = [foundation];
