import type { SerializedError } from 'vitest';
import type { TestModule, TestRunEndReason } from 'vitest/node';

/**
 * Closes every run with the one line that people and machines both read: `N passed, N failed, N skipped`. Whatever
 * makes the run fail counts: a test, a file that cannot be imported, a hook, an error nobody caught.
 */
export default class ClosingLine {
  onTestRunEnd(
    modules: ReadonlyArray<TestModule>,
    unhandledErrors: ReadonlyArray<SerializedError>,
    reason: TestRunEndReason,
  ): void {
    const count = { passed: 0, failed: 0, skipped: 0 };
    for (const module of modules) {
      let failed = module.errors().length;
      for (const suite of module.children.allSuites()) failed += suite.errors().length;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === 'failed') failed += 1;
        // A test that never got its turn (its file's hook failed, or the run was cut short) is as good as skipped.
        else count[state === 'pending' ? 'skipped' : state] += 1;
      }
      if (failed === 0 && module.state() === 'failed') failed = 1;
      count.failed += failed;
    }
    count.failed += unhandledErrors.length;
    // The setup of the whole run failed (no error is reported here then), or somebody stopped it.
    if (count.failed === 0 && (reason !== 'passed' || modules.length === 0)) count.failed = 1;
    console.log(`${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);
  }
}
