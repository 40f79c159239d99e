/**
 * Lets one more request into intake, or throws `overloaded`. Intake decides (intake/pressure.ts); the edge asks before the
 * body is read.
 */
export type EnterIntake = (arrival: IntakeArrival) => IntakePass;

export interface IntakeArrival {
  readonly keyId: string;
  /** Bytes of its body, as announced. */
  readonly bytes: number;
}

/** Of a request that was let in. */
export interface IntakePass {
  /** The body is here whole and has so many bytes; again when it is decoded. From the first call on the request waits for us. */
  hold(bytes: number): void;
  /** The request is over. May be called twice. */
  leave(): void;
}
