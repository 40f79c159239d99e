/**
 * Thrown at start if a person has to change something first. `message` is the complete text for that person: what is wrong,
 * where, and what to do. It has no credential, and is shown without a stack trace.
 */
export class StartRefusal extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'StartRefusal';
  }
}
