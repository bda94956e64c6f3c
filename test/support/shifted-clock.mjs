/** Loaded before a program, moves its clock by TEST_CLOCK_AHEAD_MS: `node --import …/shifted-clock.mjs`. */
const aheadMs = Number(process.env['TEST_CLOCK_AHEAD_MS'] ?? 0);
const RealDate = Date;

globalThis.Date = class extends RealDate {
  constructor(...given) {
    if (given.length === 0) super(RealDate.now() + aheadMs);
    else super(...given);
  }
  static now() {
    return RealDate.now() + aheadMs;
  }
};
