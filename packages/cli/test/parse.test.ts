import fc from 'fast-check';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BerthError } from '@berth/shared/domain/errors';
import { expect, test } from 'vitest';
import {
  parseCount,
  parseEgress,
  parseFactor,
  parsePercent,
  parsePort,
  parseTags,
  parseTime,
  parseVariable,
  readVariables,
} from '../src/commands/parse.ts';
import { composeNameOf } from '../src/compose-name.ts';
import { Ended, exitCodeOf, UsageError } from '../src/exit-codes.ts';

test('--egress takes a single address as a range of one, and no bits behind a prefix', () => {
  expect(parseEgress('10.1.0.0/16,192.0.2.7')).toEqual(['10.1.0.0/16', '192.0.2.7/32']);
  expect(parseEgress('none')).toBe('none');
  for (const text of ['10.0.0.1/8', '192.0.2', '192.0.2.7,', '2001:db8::1', 'some'])
    expect(() => parseEgress(text)).toThrow(UsageError);
});

test('any value may stand after the first equals sign', () => {
  fc.assert(
    fc.property(fc.string(), (value) => {
      expect(parseVariable(`NAME=${value}`)).toEqual(['NAME', value]);
    }),
  );
});

test('names that are no variable names are refused by name', () => {
  for (const bad of ['=x', 'x', '1A=x', 'A-B=x', 'A B=x'])
    expect(() => parseVariable(bad)).toThrow(UsageError);
});

test('a variable file is read literally and --var wins over it', () => {
  const dir = mkdtempSync(join(tmpdir(), 'berth-vars-'));
  try {
    writeFileSync(join(dir, 'vars'), '# shop\nA=1\nB="two \\$words"\nC=\'three\'\nexport D=co$t\n');
    expect(readVariables({ varFile: ['vars'], var: ['A=over', 'E='] }, dir)).toEqual({
      A: 'over',
      B: 'two $words',
      C: 'three',
      D: 'co$t',
      E: '',
    });
    writeFileSync(join(dir, 'bad'), 'A=1\nnot a line\n');
    expect(() => readVariables({ varFile: ['bad'] }, dir)).toThrow(/bad:2/);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test('counts and times say what they want', () => {
  expect(parseCount('12', '--lines')).toBe(12);
  for (const bad of ['0', '-1', '1.5', 'x', '']) expect(() => parseCount(bad, '--lines')).toThrow(/--lines/);
  expect(parseTime('5m', '--timeout')).toBe(300_000);
  expect(parsePort('8080', '--port')).toBe(8080);
  for (const bad of ['banana', '0', '65536', '-1', ''])
    expect(() => parsePort(bad, '--http-port')).toThrow(/--http-port must be a port/);
  expect(() => parseTime('soon', '--timeout')).toThrow(/30s, 5m or 2h/);
});

test('shares, factors and tags are what they look like and nothing else', () => {
  expect(['2%', '0.5%', '100%', '0%'].map((text) => parsePercent(text, '--x'))).toEqual([0.02, 0.005, 1, 0]);
  for (const bad of ['2', '101%', '-1%', '%', '1e1%', '2 %', ''])
    expect(() => parsePercent(bad, '--error-budget')).toThrow(
      /--error-budget must be a share such as 2% or 0.5%/,
    );
  expect(parseFactor('1.5', '--x', 1)).toBe(1.5);
  for (const bad of ['0.9', '-2', 'Infinity', '1e3', ''])
    expect(() => parseFactor(bad, '--latency-factor', 1)).toThrow(
      /--latency-factor must be a number of at least 1/,
    );
  expect(parseTags('tier=free, canary', '--order')).toEqual(['tier=free', 'canary']);
  for (const bad of ['Tier', 'a,,b', '10', 'all', 'a=b=c'])
    expect(() => parseTags(bad, '--order')).toThrow(/--order ".*": a tag is a word/);
  expect(parseTime('0s', '--bake', 0)).toBe(0);
  expect(() => parseTime('0s', '--timeout')).toThrow(UsageError);
});

test("an app's name is the file's own top-level name", () => {
  expect(composeNameOf('services: {}\nname: shop # the shop\n')).toBe('shop');
  expect(composeNameOf('name: "shop-2"\n')).toBe('shop-2');
  expect(composeNameOf("name: 'shop'\n")).toBe('shop');
  expect(composeNameOf('services:\n  web:\n    name: no\n')).toBeUndefined();
  expect(composeNameOf('name:\nservices: {}\n')).toBeUndefined();
});

test('each class of error has its exit code', () => {
  const codes = [
    new UsageError('x'),
    new BerthError('invalid_request', 'x'),
    new BerthError('invalid_compose', 'x'),
    new BerthError('unavailable', 'x'),
    new BerthError('unauthenticated', 'x'),
    new BerthError('forbidden', 'x'),
    new BerthError('no_capacity', 'x'),
    new Error('x'),
    new Ended(0),
  ].map(exitCodeOf);
  expect(codes).toEqual([2, 2, 2, 3, 4, 4, 1, 1, 0]);
});
