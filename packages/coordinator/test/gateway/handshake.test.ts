import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { answerUpgrade } from '../../src/gateway/handshake.ts';

const PROTOCOL = 'berth.v1';

function request(headers: Record<string, string>, method = 'GET'): IncomingMessage {
  const message = new IncomingMessage(new Socket());
  message.method = method;
  message.headers = {
    upgrade: 'websocket',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'sec-websocket-version': '13',
    'sec-websocket-protocol': PROTOCOL,
    ...headers,
  };
  return message;
}

test('the answer to the key of RFC 6455 is the one of RFC 6455', () => {
  const answer = answerUpgrade(request({}), PROTOCOL);
  expect(answer).toEqual({
    kind: 'accepted',
    head:
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: berth.v1\r\n\r\n',
  });
});

test('one of several subprotocols is enough', () => {
  expect(answerUpgrade(request({ 'sec-websocket-protocol': 'other, berth.v1' }), PROTOCOL).kind).toBe(
    'accepted',
  );
});

test.each([
  ['another upgrade', { upgrade: 'h2c' }, '400 Bad Request'],
  ['a short key', { 'sec-websocket-key': 'abc' }, '400 Bad Request'],
  ['a key with a line break', { 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ=\n' }, '400 Bad Request'],
  ['no subprotocol of ours', { 'sec-websocket-protocol': 'berth.v10' }, '400 Bad Request'],
  ['an empty subprotocol', { 'sec-websocket-protocol': '' }, '400 Bad Request'],
])('%s is refused', (_what, headers, status) => {
  expect(answerUpgrade(request(headers), PROTOCOL)).toEqual({ kind: 'refused', status, headers: '' });
});

test('another version is told which one is spoken', () => {
  expect(answerUpgrade(request({ 'sec-websocket-version': '8' }), PROTOCOL)).toEqual({
    kind: 'refused',
    status: '400 Bad Request',
    headers: 'Sec-WebSocket-Version: 13\r\n',
  });
});

test('only GET may become a WebSocket', () => {
  expect(answerUpgrade(request({}, 'POST'), PROTOCOL)).toMatchObject({ status: '405 Method Not Allowed' });
});
