"""Compiled loops under `psychometrics.fit_batch`: likelihood, search for starts, bounded climb, standard errors.

Inside the kernels a parameter vector is (bias, threshold, lapse_low, lapse_high) and contrasts are in percent.
"""

import math

import numpy as np

from pipeline.analysis._jit import njit

EPS = float(np.finfo(np.float64).eps)
SQRT_PI = math.sqrt(math.pi)

THRESHOLD_FLOOR = 0.01
"""Smallest threshold that is tried (percent): already a step between any two contrasts of the task."""

N_THRESHOLDS = 10  # grid of the search, geometric between the steepest and the shallowest curve
MAX_CANDIDATES = 12  # points of the grid that are climbed from
WORTH_CLIMBING = 4.0  # log likelihood below the best of the grid from which no climb wins
MAX_ITERATIONS = 200
TOLERANCE = 1e-9  # gain in log likelihood at which a climb ends
TIE = 1e-7  # log likelihood by which a later start must win, so that ties go to the published start
INTERIOR = 0.005  # starts keep this far from lapse bounds, where gradients are infinite


@njit
def log_likelihood(theta, x, n, k):
    """Binomial log likelihood (natural log, without the constant binomial coefficient)."""
    total = 0.0
    for i in range(x.size):
        rise = 0.5 * (1.0 + math.erf((x[i] - theta[0]) / theta[1]))
        p = theta[2] + (1.0 - theta[2] - theta[3]) * rise
        p = min(max(p, EPS), 1.0 - EPS)
        if k[i] > 0.0:
            total += k[i] * math.log(p)
        if n[i] > k[i]:
            total += (n[i] - k[i]) * math.log(1.0 - p)
    return total


@njit
def _score(theta, x, n, k, gradient, fisher):
    """Fill gradient and expected Fisher information over (bias, log threshold, lapse_low, lapse_high)."""
    slope = np.empty(4)
    gradient[:] = 0.0
    fisher[:, :] = 0.0
    span = 1.0 - theta[2] - theta[3]
    for i in range(x.size):
        z = (x[i] - theta[0]) / theta[1]
        rise = 0.5 * (1.0 + math.erf(z))
        density = math.exp(-z * z) / SQRT_PI
        p = min(max(theta[2] + span * rise, EPS), 1.0 - EPS)
        slope[0] = -span * density / theta[1]
        slope[1] = -span * density * z
        slope[2] = 1.0 - rise
        slope[3] = -rise
        weight = n[i] / max(p * (1.0 - p), 1e-12)
        residual = k[i] / p - (n[i] - k[i]) / (1.0 - p)
        for a in range(4):
            gradient[a] += residual * slope[a]
            for b in range(a + 1):
                fisher[a, b] += weight * slope[a] * slope[b]
    for a in range(4):
        for b in range(a):
            fisher[b, a] = fisher[a, b]


@njit
def _step(fisher, gradient, free, damping, step):
    """Solve (fisher + damping diag(fisher)) step = gradient over the free parameters by Cholesky; others get 0."""
    index = np.empty(4, np.int64)
    lower = np.zeros((4, 4))
    y = np.zeros(4)
    q = 0
    for a in range(4):
        step[a] = 0.0
        if free[a]:
            index[q] = a
            q += 1
    for i in range(q):
        for j in range(i + 1):
            v = fisher[index[i], index[j]]
            if i == j:
                v += damping * v + 1e-9
            for t in range(j):
                v -= lower[i, t] * lower[j, t]
            lower[i, j] = math.sqrt(max(v, 1e-12)) if i == j else v / lower[j, j]
    for i in range(q):
        v = gradient[index[i]]
        for t in range(i):
            v -= lower[i, t] * y[t]
        y[i] = v / lower[i, i]
    for i in range(q - 1, -1, -1):
        v = y[i]
        for t in range(i + 1, q):
            v -= lower[t, i] * y[t]
        y[i] = v / lower[i, i]
        step[index[i]] = y[i]


@njit
def _refine(theta, x, n, k, low, high):
    """Climb from theta (changed in place) by damped Fisher scoring inside the box; returns the log likelihood."""
    gradient = np.empty(4)
    fisher = np.empty((4, 4))
    step = np.empty(4)
    trial = np.empty(4)
    free = np.empty(4, np.bool_)
    damping = 1e-3
    best = log_likelihood(theta, x, n, k)
    for _ in range(MAX_ITERATIONS):
        _score(theta, x, n, k, gradient, fisher)
        for a in range(4):
            outward = (theta[a] <= low[a] and gradient[a] <= 0.0) or (theta[a] >= high[a] and gradient[a] >= 0.0)
            free[a] = not outward
        gain = -1.0
        while damping < 1e8:
            _step(fisher, gradient, free, damping, step)
            factor = math.exp(min(max(step[1], -1.0), 1.0))
            for a in range(4):
                v = theta[1] * factor if a == 1 else theta[a] + step[a]
                trial[a] = min(max(v, low[a]), high[a])
            gain = log_likelihood(trial, x, n, k) - best
            if gain > 0.0:
                damping = max(damping * 0.3, 1e-9)
                break
            damping *= 5.0
        if gain <= 0.0:
            break
        theta[:] = trial
        best += gain
        if gain < TOLERANCE and damping < 1.0:  # a heavily damped step is small whatever is left to gain
            break
    return best


@njit
def _best_lapses(rise, n, k, low, high, theta):
    """Best lapses (written to theta) and log likelihood for a given rise from 0 to 1 at every contrast.

    p = g (1 - rise) + u rise with u = 1 - lapse_high is linear in (g, u), so the log likelihood is concave in them and
    a few Newton steps from the weighted proportions come close to the maximum.
    """
    weight_low = weight_high = right_low = right_high = 1e-12
    for i in range(rise.size):
        weight_low += n[i] * (1.0 - rise[i])
        weight_high += n[i] * rise[i]
        right_low += k[i] * (1.0 - rise[i])
        right_high += k[i] * rise[i]
    g_min, g_max = low[2] + INTERIOR * (high[2] - low[2]), high[2] - INTERIOR * (high[2] - low[2])
    u_min, u_max = 1.0 - high[3] + INTERIOR * (high[3] - low[3]), 1.0 - low[3] - INTERIOR * (high[3] - low[3])
    g = min(max(right_low / weight_low, g_min), g_max)
    u = min(max(right_high / weight_high, u_min), u_max)
    for _ in range(3):
        dg = du = hgg = huu = hgu = 0.0
        for i in range(rise.size):
            p = min(max(g * (1.0 - rise[i]) + u * rise[i], EPS), 1.0 - EPS)
            residual = (k[i] - n[i] * p) / (p * (1.0 - p))
            weight = n[i] / (p * (1.0 - p))
            dg += residual * (1.0 - rise[i])
            du += residual * rise[i]
            hgg += weight * (1.0 - rise[i]) ** 2
            huu += weight * rise[i] ** 2
            hgu += weight * rise[i] * (1.0 - rise[i])
        hgg += 1e-9
        huu += 1e-9
        determinant = hgg * huu - hgu * hgu
        if determinant < 1e-9 * hgg * huu:
            break
        g = min(max(g + (huu * dg - hgu * du) / determinant, g_min), g_max)
        u = min(max(u + (hgg * du - hgu * dg) / determinant, u_min), u_max)
    total = 0.0
    for i in range(rise.size):
        p = min(max(g * (1.0 - rise[i]) + u * rise[i], EPS), 1.0 - EPS)
        total += k[i] * math.log(p) + (n[i] - k[i]) * math.log(1.0 - p)
    theta[2] = g
    theta[3] = 1.0 - u
    return total


@njit
def _search(x, n, k, low, high, starts):
    """Write the best points of a (bias, threshold) grid, lapses profiled out, into starts; returns how many.

    Biases: every contrast and two points between any two adjacent ones, inside the box, so that a step between two
    contrasts and a step at a contrast are both tried. Of every threshold the local maxima along the bias are taken:
    hills that differ in little but their width lie in one another's slopes.
    """
    m = x.size
    biases = np.empty(3 * m)
    n_bias = 0
    for i in range(3 * m - 2):
        bias = x[i // 3] if i % 3 == 0 else x[i // 3] + (i % 3) / 3.0 * (x[i // 3 + 1] - x[i // 3])
        bias = min(max(bias, low[0]), high[0])
        if n_bias == 0 or bias > biases[n_bias - 1]:
            biases[n_bias] = bias
            n_bias += 1
    smallest = high[1]
    for i in range(m - 1):
        smallest = min(smallest, x[i + 1] - x[i])
    steepest = min(max(low[1], 0.1 * smallest), high[1])
    ratio = (high[1] / steepest) ** (1.0 / (N_THRESHOLDS - 1))
    grid = np.empty((n_bias, N_THRESHOLDS, 4))
    value = np.empty((n_bias, N_THRESHOLDS))
    rise = np.empty(m)
    for i in range(n_bias):
        bias = biases[i]
        threshold = steepest
        for j in range(N_THRESHOLDS):
            grid[i, j, 0] = bias
            grid[i, j, 1] = threshold
            for t in range(m):
                rise[t] = 0.5 * (1.0 + math.erf((x[t] - bias) / threshold))
            value[i, j] = _best_lapses(rise, n, k, low, high, grid[i, j])
            threshold *= ratio
    top = value[:n_bias].max()
    count = 0
    peaks = np.empty(starts.shape[0])
    for i in range(n_bias):
        for j in range(N_THRESHOLDS):
            below_left = i > 0 and value[i - 1, j] >= value[i, j]
            below_right = i + 1 < n_bias and value[i + 1, j] > value[i, j]
            same_step = j > 0 and abs(value[i, j - 1] - value[i, j]) < TIE
            full = count == peaks.size and value[i, j] <= peaks[count - 1]
            if below_left or below_right or same_step or full or value[i, j] < top - WORTH_CLIMBING:
                continue
            slot = count if count < peaks.size else count - 1
            while slot > 0 and peaks[slot - 1] < value[i, j]:
                peaks[slot] = peaks[slot - 1]
                starts[slot] = starts[slot - 1]
                slot -= 1
            peaks[slot] = value[i, j]
            starts[slot] = grid[i, j]
            count = min(count + 1, peaks.size)
    return count


@njit
def _standard_errors(theta, x, n, k, low, high, errors):
    """Standard errors from the expected Fisher information of the parameters off their bounds; NaN for the others."""
    gradient = np.empty(4)
    fisher = np.empty((4, 4))
    _score(theta, x, n, k, gradient, fisher)
    errors[:] = np.nan
    index = np.empty(4, np.int64)
    q = 0
    for a in range(4):
        margin = 1e-6 * (high[a] - low[a])
        if low[a] + margin < theta[a] < high[a] - margin:
            index[q] = a
            q += 1
    # Cholesky of the information scaled to a unit diagonal; a tiny pivot means a direction without information.
    scale = np.empty(4)
    lower = np.zeros((4, 4))
    for i in range(q):
        scale[i] = math.sqrt(fisher[index[i], index[i]])
        if not scale[i] > 0.0:
            return
    for i in range(q):
        for j in range(i + 1):
            v = fisher[index[i], index[j]] / (scale[i] * scale[j])
            for t in range(j):
                v -= lower[i, t] * lower[j, t]
            if i == j:
                if v < 1e-10:
                    return
                lower[i, i] = math.sqrt(v)
            else:
                lower[i, j] = v / lower[j, j]
    for c in range(q):  # variance c is the squared length of L^-1 e_c
        y = np.zeros(4)
        variance = 0.0
        for i in range(c, q):
            v = 1.0 if i == c else 0.0
            for t in range(c, i):
                v -= lower[i, t] * y[t]
            y[i] = v / lower[i, i]
            variance += y[i] * y[i]
        errors[index[c]] = math.sqrt(variance) / scale[c]
    errors[1] *= theta[1]


@njit
def fit_packed(x, n, k, offsets, low, high, start):
    """Fit problem b on x[offsets[b]:offsets[b + 1]]; returns parameters (B, 4), standard errors (B, 4), log likelihood.

    Contrasts must be ascending and distinct with n > 0 and at least two per problem; fewer give NaN.
    """
    size = offsets.size - 1
    parameters = np.full((size, 4), np.nan)
    errors = np.full((size, 4), np.nan)
    likelihood = np.full(size, np.nan)
    starts = np.empty((MAX_CANDIDATES, 4))
    theta = np.empty(4)
    for b in range(size):
        first, last = offsets[b], offsets[b + 1]
        if last - first < 2:
            continue
        xs, ns, ks, lo, hi = x[first:last], n[first:last], k[first:last], low[b], high[b]
        theta[:] = start[b]
        best = _refine(theta, xs, ns, ks, lo, hi)
        parameters[b] = theta
        for s in range(_search(xs, ns, ks, lo, hi, starts)):
            theta[:] = starts[s]
            value = _refine(theta, xs, ns, ks, lo, hi)
            if value > best + TIE:
                best = value
                parameters[b] = theta
        likelihood[b] = best
        _standard_errors(parameters[b], xs, ns, ks, lo, hi, errors[b])
    return parameters, errors, likelihood
