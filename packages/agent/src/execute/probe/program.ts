import { unreachable } from '@berth/shared/domain/errors';

/**
 * Tiny static programs that make a few system calls and end with the error number of the first that fails, or 0. They
 * show what the kernel really answers, whatever a shell would make of it, and need nothing else in the image.
 */

export type Arch = 'x64' | 'arm64';

/** A number, bytes in memory, what an earlier call returned, or the place where results are kept from that call's on. */
export type Argument = number | Uint8Array | { result: number } | { resultsFrom: number };

export interface Call {
  name: CallName;
  args: readonly Argument[];
  /** Zero is a failure too, told as {@link NOTHING}: there was nothing to read. */
  needs?: 'more than zero';
  /** Its failure is a result like any other: the program goes on. */
  failure?: 'goes on';
}

/** The exit code of a call that returned zero though it needs more. */
export const NOTHING = 200;

/** Numbers of x64 and arm64. */
const NUMBERS = {
  add_key: [248, 217],
  bind: [49, 200],
  bpf: [321, 280],
  chroot: [161, 51],
  close: [3, 57],
  connect: [42, 203],
  init_module: [175, 105],
  kexec_load: [246, 104],
  keyctl: [250, 219],
  mknodat: [259, 33],
  mount: [165, 40],
  nanosleep: [35, 101],
  open_by_handle_at: [304, 265],
  openat: [257, 56],
  perf_event_open: [298, 241],
  pivot_root: [155, 41],
  ptrace: [101, 117],
  read: [0, 63],
  recvfrom: [45, 207],
  reboot: [169, 142],
  sendto: [44, 206],
  sethostname: [170, 161],
  setns: [308, 268],
  setsockopt: [54, 208],
  settimeofday: [164, 170],
  setuid: [105, 146],
  socket: [41, 198],
  swapon: [167, 224],
  syslog: [103, 116],
  unshare: [272, 97],
  write: [1, 64],
} as const satisfies Record<string, readonly [number, number]>;
export type CallName = keyof typeof NUMBERS;

const BASE = 0x400000;
const HEADERS = 64 + 56;

/** An ELF file that makes these calls. `again`: after the last, go on at the call of this index, for ever. */
export function programOf(arch: Arch, calls: readonly Call[], again?: number): Buffer {
  const assembler = arch === 'x64' ? x64 : arch === 'arm64' ? arm64 : unreachable(arch);
  // Code is as long whatever the addresses are, so it is made twice: to know where the data begins, and with that.
  const length = codeOf(assembler, arch, calls, again, 0).length;
  const dataAt = align(BASE + HEADERS + length);
  const code = codeOf(assembler, arch, calls, again, dataAt);
  const data = dataOf(calls);
  const slots = Buffer.alloc(8 * calls.length);
  const gap = Buffer.alloc(dataAt - BASE - HEADERS - code.length);
  const body = Buffer.concat([code, gap, slots, ...data.map(padded)]);
  return Buffer.concat([headers(arch, HEADERS + body.length), body]);
}

function codeOf(
  assembler: Assembler,
  arch: Arch,
  calls: readonly Call[],
  again: number | undefined,
  dataAt: number,
): Buffer {
  let free = dataAt + 8 * calls.length;
  const places = new Map<Uint8Array, number>();
  for (const each of dataOf(calls)) {
    places.set(each, free);
    free += padded(each).length;
  }
  const parts: Buffer[] = [assembler.slotsAt(dataAt)];
  let length = parts[0]?.length ?? 0;
  let target = 0;
  calls.forEach((call, index) => {
    if (index === again) target = length;
    const registers = call.args.map((argument, register) => {
      if (typeof argument === 'number') return assembler.load(register, BigInt(argument));
      if (argument instanceof Uint8Array) return assembler.load(register, BigInt(places.get(argument) ?? 0));
      if ('result' in argument) return assembler.loadSlot(register, argument.result);
      return assembler.load(register, BigInt(dataAt + 8 * argument.resultsFrom));
    });
    const number = NUMBERS[call.name][arch === 'x64' ? 0 : 1];
    const made = Buffer.concat([
      ...registers,
      assembler.call(number, index),
      call.failure === 'goes on' ? Buffer.alloc(0) : assembler.check(call.needs !== undefined),
    ]);
    parts.push(made);
    length += made.length;
  });
  parts.push(again === undefined ? assembler.end() : assembler.jump(target - length));
  return Buffer.concat(parts);
}

/** The same bytes named twice are one place in memory: what one call writes, the next may read. */
function dataOf(calls: readonly Call[]): Uint8Array[] {
  return [...new Set(calls.flatMap((call) => call.args.filter((each) => each instanceof Uint8Array)))];
}

interface Assembler {
  /** Where results are kept. */
  slotsAt(address: number): Buffer;
  load(register: number, value: bigint): Buffer;
  loadSlot(register: number, slot: number): Buffer;
  /** Makes the call and keeps its result. */
  call(number: number, slot: number): Buffer;
  /** Ends the program when the call failed. */
  check(moreThanZero: boolean): Buffer;
  end(): Buffer;
  /** By so many bytes from the beginning of this very instruction. */
  jump(by: number): Buffer;
}

const x64: Assembler = {
  slotsAt: (address) => Buffer.concat([Buffer.from([0x48, 0xbb]), wide(BigInt(address))]),
  load(register, value) {
    const opcode = [
      [0x48, 0xbf],
      [0x48, 0xbe],
      [0x48, 0xba],
      [0x49, 0xba],
      [0x49, 0xb8],
      [0x49, 0xb9],
    ][register];
    return Buffer.concat([Buffer.from(opcode ?? []), wide(value)]);
  },
  loadSlot(register, slot) {
    const opcode = [
      [0x48, 0x8b, 0xbb],
      [0x48, 0x8b, 0xb3],
      [0x48, 0x8b, 0x93],
      [0x4c, 0x8b, 0x93],
      [0x4c, 0x8b, 0x83],
      [0x4c, 0x8b, 0x8b],
    ][register];
    return Buffer.concat([Buffer.from(opcode ?? []), narrow(8 * slot)]);
  },
  call: (number, slot) =>
    Buffer.concat([
      Buffer.from([0xb8]),
      narrow(number),
      Buffer.from([0x0f, 0x05, 0x48, 0x89, 0x83]),
      narrow(8 * slot),
    ]),
  check: (moreThanZero) =>
    Buffer.concat([
      // test rax, rax; jns past the end: neg eax; mov edi, eax; mov eax, exit; syscall
      Buffer.from([0x48, 0x85, 0xc0, 0x79, 0x0b, 0xf7, 0xd8, 0x89, 0xc7, 0xb8, 60, 0, 0, 0, 0x0f, 0x05]),
      // jnz past the end: mov edi, NOTHING; mov eax, exit; syscall
      moreThanZero
        ? Buffer.from([0x48, 0x85, 0xc0, 0x75, 0x0c, 0xbf, NOTHING, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05])
        : Buffer.alloc(0),
    ]),
  end: () => Buffer.from([0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05]),
  jump: (by) => Buffer.concat([Buffer.from([0xe9]), narrow(by - 5)]),
};

const SVC = 0xd4000001;
const move = (register: number, value: bigint): number[] =>
  [0, 1, 2, 3].map((part) => {
    const bits = Number((BigInt.asUintN(64, value) >> BigInt(16 * part)) & 0xffffn);
    return ((part === 0 ? 0xd2800000 : 0xf2800000) | (part << 21) | (bits << 5) | register) >>> 0;
  });

const arm64: Assembler = {
  slotsAt: (address) => words(move(19, BigInt(address))),
  load: (register, value) => words(move(register, value)),
  loadSlot: (register, slot) => words([(0xf9400000 | (slot << 10) | (19 << 5) | register) >>> 0]),
  call: (number, slot) =>
    words([...move(8, BigInt(number)), SVC, (0xf9000000 | (slot << 10) | (19 << 5)) >>> 0]),
  check: (moreThanZero) =>
    words([
      // tbz x0, #63 past the end: neg w0, w0; exit
      (0xb6f80000 | (7 << 5)) >>> 0,
      0x4b0003e0,
      ...move(8, 93n),
      SVC,
      // cbnz x0 past the end: mov x0, NOTHING; exit
      ...(moreThanZero
        ? [(0xb5000000 | (10 << 5)) >>> 0, ...move(0, BigInt(NOTHING)), ...move(8, 93n), SVC]
        : []),
    ]),
  end: () => words([...move(0, 0n), ...move(8, 93n), SVC]),
  jump: (by) => words([(0x14000000 | ((by / 4) & 0x3ffffff)) >>> 0]),
};

/** One segment that may be read, written and run, as large as the file. */
function headers(arch: Arch, size: number): Buffer {
  const header = Buffer.alloc(HEADERS);
  Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]).copy(header);
  header.writeUInt16LE(2, 16);
  header.writeUInt16LE(arch === 'x64' ? 62 : 183, 18);
  header.writeUInt32LE(1, 20);
  header.writeBigUInt64LE(BigInt(BASE + HEADERS), 24);
  header.writeBigUInt64LE(64n, 32);
  for (const [value, at] of [
    [64, 52],
    [56, 54],
    [1, 56],
    [64, 58],
  ] as const)
    header.writeUInt16LE(value, at);
  header.writeUInt32LE(1, 64);
  header.writeUInt32LE(7, 68);
  for (const [value, at] of [
    [0, 72],
    [BASE, 80],
    [BASE, 88],
    [size, 96],
    [size, 104],
    [0x1000, 112],
  ] as const)
    header.writeBigUInt64LE(BigInt(value), at);
  return header;
}

function padded(data: Uint8Array): Buffer {
  return Buffer.concat([data, Buffer.alloc(align(data.length) - data.length)]);
}

function align(length: number): number {
  return Math.ceil(length / 8) * 8;
}

function wide(value: bigint): Buffer {
  const buffer = Buffer.alloc(8);
  buffer.writeBigUInt64LE(BigInt.asUintN(64, value));
  return buffer;
}

function narrow(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeInt32LE(value);
  return buffer;
}

function words(values: readonly number[]): Buffer {
  const buffer = Buffer.alloc(4 * values.length);
  values.forEach((value, index) => buffer.writeUInt32LE(value, 4 * index));
  return buffer;
}
