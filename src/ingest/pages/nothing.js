// Stands where the loader would, for a key that is not in use: the page's calls do nothing, and do not fail.
(function () {
  'use strict';

  var sentry = window.Sentry = window.Sentry || {};
  ['init', 'addBreadcrumb', 'captureMessage', 'captureException', 'captureEvent', 'configureScope', 'withScope',
    'showReportDialog', 'onLoad', 'forceLoad'].forEach(function (name) {
    sentry[name] = sentry[name] || function () {};
  });
})
