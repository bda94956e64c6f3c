import type { Migration } from '../migrate.ts';
import { foundation } from './0001-foundation.ts';
import { releases } from './0002-releases.ts';
import { rollouts } from './0003-rollouts.ts';
import { eventMarks } from './0004-event-marks.ts';
import { rolloutBefore } from './0005-rollout-before.ts';
import { access } from './0006-access.ts';
import { auditChain } from './0007-audit-chain.ts';
import { enrolment } from './0008-enrolment.ts';
import { secrets } from './0009-secrets.ts';
import { dedicated } from './0010-dedicated.ts';
import { signatures } from './0011-signatures.ts';
import { poolSigners } from './0012-pool-signers.ts';
import { eventIndex } from './0013-event-index.ts';
import { databases } from './0014-databases.ts';
import { historyEntries } from './0015-history-entries.ts';
import { rolloutActs } from './0016-rollout-acts.ts';

/** In order. A migration that was released is never edited; a new one is added. */
export const migrations: readonly Migration[] = [
  foundation,
  releases,
  rollouts,
  eventMarks,
  rolloutBefore,
  access,
  auditChain,
  enrolment,
  secrets,
  dedicated,
  signatures,
  poolSigners,
  eventIndex,
  databases,
  historyEntries,
  rolloutActs,
];
