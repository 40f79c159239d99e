import { Type } from 'typebox';

/** A name for people, on one line: 1 to 200 characters, not only spaces, no control characters, no half surrogate pairs. */
export const LINE_PATTERN = '^(?!\\s*$)[^\\p{Cc}\\p{Cs}]+$';

export const DisplayName = () =>
  Type.String({ minLength: 1, maxLength: 200, pattern: LINE_PATTERN, description: 'Display name, one line' });
