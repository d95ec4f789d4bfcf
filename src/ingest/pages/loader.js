// The loader of the JavaScript SDK. A page includes it instead of the SDK. It keeps what happens until the SDK is
// there: calls of its functions, errors, and rejections that nobody handles. The SDK is loaded at once, or, when
// `lazy`, at the first thing that is worth a report.
(function (publicKey, bundleUrl, config, lazy) {
  'use strict';

  var STUBS = ['init', 'addBreadcrumb', 'captureMessage', 'captureException', 'captureEvent', 'configureScope',
    'withScope', 'showReportDialog'];

  var stub = window.Sentry = window.Sentry || {};
  // Calls as {name, args}, errors as {error}, rejections as {rejection}, in the order in which they came.
  var queue = [];
  var callbacks = [];
  var injected = false;
  var initialized = false;

  // The page's own script tag has the last word, and its address contains the key.
  var tag = findTag();
  if (tag && tag.getAttribute('data-lazy') === 'no') {
    lazy = false;
  }

  function findTag() {
    for (var i = 0; i < document.scripts.length; i++) {
      if (document.scripts[i].src.indexOf(publicKey) !== -1) {
        return document.scripts[i];
      }
    }
    return null;
  }

  function isReport(name) {
    return name.indexOf('capture') === 0 || name === 'showReportDialog';
  }

  function keep(entry) {
    queue.push(entry);
    if (lazy && (!entry.name || isReport(entry.name))) {
      inject();
    }
  }

  function onError(event) {
    // Images and the like that fail to load are no errors of the page's code.
    if (event.error || event.message) {
      keep({ error: event });
    }
  }

  function onRejection(event) {
    keep({ rejection: event });
  }

  function inject() {
    if (injected) {
      return;
    }
    injected = true;
    var script = document.createElement('script');
    script.src = bundleUrl;
    script.crossOrigin = 'anonymous';
    script.addEventListener('load', onBundle, { once: true, passive: true });
    var first = tag || document.scripts[0];
    if (first && first.parentNode) {
      first.parentNode.insertBefore(script, first);
    } else {
      document.head.appendChild(script);
    }
  }

  function onBundle() {
    var sdk = window.Sentry;
    if (!sdk || sdk === stub || typeof sdk.init !== 'function') {
      return;
    }
    window.removeEventListener('error', onError);
    window.removeEventListener('unhandledrejection', onRejection);
    window.SENTRY_SDK_SOURCE = 'loader';
    wrapInit(sdk);
    // Scripts that wait for the same event see the SDK first.
    setTimeout(function () {
      start(sdk);
    });
  }

  // What the page gives to init counts more than what the key is set to.
  function wrapInit(sdk) {
    var init = sdk.init;
    sdk.init = function (options) {
      initialized = true;
      var merged = {};
      var name;
      for (name in config) {
        merged[name] = config[name];
      }
      for (name in options) {
        merged[name] = options[name];
      }
      addIntegrations(merged, sdk);
      return init(merged);
    };
  }

  // Tracing and replay do nothing until their integrations are there. A page whose integrations are a function
  // chooses for itself.
  function addIntegrations(options, sdk) {
    if (typeof options.integrations === 'function') {
      return;
    }
    var integrations = (options.integrations || []).slice();

    function add(name, factory, constructor) {
      var there = integrations.some(function (integration) {
        return integration.name === name;
      });
      if (there) {
        return;
      }
      if (typeof factory === 'function') {
        integrations.push(factory());
      } else if (typeof constructor === 'function') {
        integrations.push(new constructor());
      }
    }

    if (options.tracesSampleRate) {
      add('BrowserTracing', sdk.browserTracingIntegration, sdk.BrowserTracing);
    }
    if (options.replaysSessionSampleRate || options.replaysOnErrorSampleRate) {
      add('Replay', sdk.replayIntegration, sdk.Replay);
    }
    if (options.loaderFeedback) {
      add('Feedback', sdk.feedbackIntegration);
    }
    delete options.loaderFeedback;
    options.integrations = integrations;
  }

  function start(sdk) {
    if (typeof window.sentryOnLoad === 'function') {
      guard(window.sentryOnLoad);
    }
    callbacks.forEach(guard);
    queue.forEach(function (entry) {
      if (entry.name === 'init') {
        replayCall(sdk, entry);
      }
    });
    if (!initialized) {
      sdk.init();
    }
    queue.forEach(function (entry) {
      if (entry.error) {
        replayError(sdk, entry.error);
      } else if (entry.rejection) {
        replayRejection(sdk, entry.rejection);
      } else if (entry.name !== 'init') {
        replayCall(sdk, entry);
      }
    });
    queue = [];
  }

  // One callback that fails does not take the others along.
  function guard(callback) {
    try {
      callback();
    } catch (error) {
      console.error(error);
    }
  }

  // Versions of the SDK differ in what they have; configureScope went with version 8.
  function replayCall(sdk, entry) {
    if (typeof sdk[entry.name] === 'function') {
      guard(function () {
        sdk[entry.name].apply(sdk, entry.args);
      });
    }
  }

  // The SDK's own handler knows best what is in an error that nobody caught.
  function replayError(sdk, event) {
    var handler = window.onerror;
    if (handler && handler.__SENTRY_INSTRUMENTED__) {
      handler.call(window, event.message, event.filename, event.lineno, event.colno, event.error);
    } else {
      sdk.captureException(event.error || new Error(event.message));
    }
  }

  function replayRejection(sdk, event) {
    var handler = window.onunhandledrejection;
    if (handler && handler.__SENTRY_INSTRUMENTED__) {
      handler.call(window, event);
    } else {
      sdk.captureException(event.reason);
    }
  }

  STUBS.forEach(function (name) {
    stub[name] = function () {
      keep({ name: name, args: arguments });
    };
  });
  stub.onLoad = function (callback) {
    callbacks.push(callback);
  };
  stub.forceLoad = function () {
    // Callbacks that the page sets next are in time.
    setTimeout(inject);
  };
  window.addEventListener('error', onError);
  window.addEventListener('unhandledrejection', onRejection);
  if (!lazy) {
    // After the page's other scripts have set what they set.
    setTimeout(inject);
  }
})
