import { MAX_FRAME_BYTES, PART_BYTES } from '@berth/shared/protocol/messages';
import type { DesiredSnapshot } from './fleet-store.ts';

/** Room for everything in a part but its entries. */
const ENVELOPE_BYTES = 512;

/**
 * A host's desired state as messages, each at most about PART_BYTES. The entries are JSON text already and are put in
 * as they are: a change to ten thousand hosts parses nothing. Entries that no frame can carry are returned as `tooLarge`.
 */
export function desiredMessages(
  epoch: number,
  base: number | null,
  snapshot: DesiredSnapshot,
): { messages: string[]; tooLarge: string[] } {
  const tooLarge: string[] = [];
  const parts: Part[] = [];
  let part = emptyPart();
  for (const entry of snapshot.entries) {
    const text = entry.kind === 'forgotten' ? JSON.stringify(entry.tenant) : entry.json;
    // No string has more UTF-8 bytes than three per unit; most need no count at all.
    const bytes = text.length * 3 < PART_BYTES / 8 ? text.length * 3 : Buffer.byteLength(text);
    if (bytes > MAX_FRAME_BYTES - ENVELOPE_BYTES) {
      tooLarge.push(entry.tenant);
      continue;
    }
    if (part.bytes > 0 && part.bytes + bytes > PART_BYTES) {
      parts.push(part);
      part = emptyPart();
    }
    part.bytes += bytes + 1;
    const list =
      entry.kind === 'tenant' ? part.tenants : entry.kind === 'tombstone' ? part.tombstones : part.forget;
    list.push(text);
  }
  parts.push(part);
  const head = `{"type":"desired","epoch":${epoch},"revision":${snapshot.revision},"base":${base},"digest":"${snapshot.digest}"`;
  const messages = parts.map(
    (each, index) =>
      `${head},"part":${index + 1},"parts":${parts.length},"tenants":[${each.tenants.join(',')}],"tombstones":[${each.tombstones.join(',')}],"forget":[${each.forget.join(',')}]}`,
  );
  return { messages, tooLarge };
}

interface Part {
  bytes: number;
  tenants: string[];
  tombstones: string[];
  forget: string[];
}

function emptyPart(): Part {
  return { bytes: 0, tenants: [], tombstones: [], forget: [] };
}
