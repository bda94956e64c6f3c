import { importVisitor, targetOf } from './imports.js';
import { mayImport, placeOf, roomOf, rooms } from './table.js';

/** Imports point one way: see table.js. */
export const roomsRule = {
  meta: { type: 'problem', docs: { description: 'A room imports only what lint/table.js allows it.' } },
  create(context) {
    const place = placeOf(context.filename);
    const room = place && roomOf(place);
    if (!room) return {};
    return importVisitor((node, specifier) => {
      const target = targetOf(context.filename, specifier);
      if (target === undefined || mayImport(room, target)) return;
      const allowed = rooms[room].imports.join(', ') || 'nothing but itself';
      context.report({
        node,
        message: `${room} may not import ${target}: it may import ${allowed} (lint/table.js)`,
      });
    });
  },
};
