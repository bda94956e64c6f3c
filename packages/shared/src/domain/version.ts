/** Of all of Berth's parts, which are released together. */
export const VERSION = '0.1.0';
