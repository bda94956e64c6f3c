import { noShellRule } from './rule-no-shell.js';
import { pureRoomsRule } from './rule-pure-rooms.js';
import { roomsRule } from './rule-rooms.js';

/** Berth's own lint rules, for oxlint (and any linter that takes ESLint's plugins). */
export default {
  meta: { name: 'berth' },
  rules: { rooms: roomsRule, 'pure-rooms': pureRoomsRule, 'no-shell': noShellRule },
};
