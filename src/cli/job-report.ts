/** Shows what a running job reports. */
import type { Progress, Report } from '../node/report.js';
import type { Output } from './output.js';

/** Between two `progress` events of a stream. */
const eventMs = 1000;

export function jobReport(output: Output): Report {
  let lastMs = Number.NEGATIVE_INFINITY;
  return {
    progress: (progress) => {
      output.progress.show(progress);
      const nowMs = performance.now();
      if (!output.isStream || !progress.transfer || nowMs - lastMs < eventMs) return;
      lastMs = nowMs;
      output.event(progressEvent(progress), '');
    },
    warn: (text) => output.warn(text),
    event: (event, text) => output.event(event, text),
  };
}

function progressEvent({ stage, done, total, transfer }: Progress) {
  const { title: name, ...figures } = transfer ?? { title: '' };
  return { event: 'progress', stage, name, doneBytes: done, totalBytes: total, ...figures };
}
