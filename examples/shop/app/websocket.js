import { createHash } from 'node:crypto';

const MAX_PAYLOAD = 1024 * 1024;
const open = new Set();

/** Answers an upgrade request and echoes every message, frame by frame. */
export function acceptWebSocket(request, socket) {
  const key = request.headers['sec-websocket-key'];
  if (request.headers.upgrade?.toLowerCase() !== 'websocket' || !key) {
    return socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n');
  }
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`,
  );
  open.add(socket);
  socket.on('close', () => open.delete(socket));
  socket.on('error', () => socket.destroy());
  let pending = Buffer.alloc(0);
  socket.on('data', (chunk) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    for (let next = readFrame(pending); next; next = readFrame(pending)) {
      if (next === 'invalid') return goodbye(socket, 1002);
      pending = pending.subarray(next.length);
      if (next.opcode === 8) return goodbye(socket, 1000);
      if (next.opcode === 9) socket.write(frame(0x8a, next.payload));
      else if (next.opcode <= 2) socket.write(frame((next.final ? 0x80 : 0) | next.opcode, next.payload));
    }
    return undefined;
  });
  return undefined;
}

/** Says "going away" to every client: the container is about to end. */
export function closeWebSockets() {
  for (const socket of open) goodbye(socket, 1001);
}

function goodbye(socket, code) {
  const payload = Buffer.alloc(2);
  payload.writeUInt16BE(code);
  socket.end(frame(0x88, payload));
  setTimeout(() => socket.destroy(), 1000).unref();
}

/** The first whole frame of the buffer; undefined when more bytes are needed. */
function readFrame(buffer) {
  if (buffer.length < 2) return undefined;
  const short = buffer[1] & 0x7f;
  const headLength = 2 + (short === 126 ? 2 : short === 127 ? 8 : 0);
  if ((buffer[1] & 0x80) === 0) return 'invalid'; // A client must mask.
  if (buffer.length < headLength + 4) return undefined;
  const size =
    short === 126 ? buffer.readUInt16BE(2) : short === 127 ? Number(buffer.readBigUInt64BE(2)) : short;
  if (size > MAX_PAYLOAD) return 'invalid';
  const length = headLength + 4 + size;
  if (buffer.length < length) return undefined;
  const mask = buffer.subarray(headLength, headLength + 4);
  const payload = Buffer.from(buffer.subarray(headLength + 4, length));
  for (let i = 0; i < size; i += 1) payload[i] ^= mask[i & 3];
  return { final: (buffer[0] & 0x80) !== 0, opcode: buffer[0] & 0x0f, payload, length };
}

function frame(first, payload) {
  const size = payload.length;
  const head = Buffer.alloc(size < 126 ? 2 : size < 65_536 ? 4 : 10);
  head[0] = first;
  if (size < 126) head[1] = size;
  else if (size < 65_536) {
    head[1] = 126;
    head.writeUInt16BE(size, 2);
  } else {
    head[1] = 127;
    head.writeBigUInt64BE(BigInt(size), 2);
  }
  return Buffer.concat([head, payload]);
}
