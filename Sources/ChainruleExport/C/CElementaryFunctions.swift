import Chainrule

/// The C functions of an exported network.
///
/// They are the core's kernels for one number instead of a vector: the same operations in the same order, so
/// the bits are the same. `scripts/c-functions` translates math_tmpl.h, coefficients.c and activation_tmpl.h
/// to CElementaryFormulas.swift. The kernels name the sources of the formulas. The functions for a row follow
/// gemm_tmpl.h, norm_tmpl.h and the softmax of activation_tmpl.h.
struct CElementaryFunctions {
  private let definitions: [(name: Substring, text: String)]

  init(_ scalar: ScalarType) {
    let numbers = scalar == .float32 ? Self.float32Numbers : Self.float64Numbers
    let texts = [Self.macros, numbers, Self.helpers, Self.formulas, Self.rows]
    let others = texts.joined(separator: "\n\n").split(separator: "\n\n").flatMap { paragraph in
      // A paragraph is one definition, except that each line with a macro is one.
      paragraph.hasPrefix("#define") ? paragraph.split(separator: "\n") : [paragraph]
    }.map { text in
      let name = identifiers(in: text).first { $0.lowercased().hasPrefix("cr_") }
      return (name ?? "", Self.spelled(text, scalar))
    }
    definitions =
      [
        ("cr_fma", Self.spelled(Self.fusedMultiplyAdd, scalar)),
        ("cr_pair", Self.spelled(Self.pair, scalar)),
      ] + others
  }

  /// Returns the text of the definitions that `code` needs, directly or indirectly; `constants` is the number
  /// of constants in their tables.
  func needed(by code: String) -> (text: String, constants: Int) {
    var names: Set<Substring> = [], open = [code]
    while let code = open.popLast() {
      let used = Set(identifiers(in: code))
      for (name, text) in definitions where used.contains(name) && names.insert(name).inserted {
        open.append(text)
      }
    }
    let needed = definitions.filter { names.contains($0.name) }
    let text = zip(needed, needed.dropFirst().map(\.text) + [""]).map { definition, next in
      // Macros are not separated by blank lines.
      let isMacro = definition.text.hasPrefix("#define") && next.hasPrefix("#define")
      return definition.text + (isMacro ? "\n" : "\n\n")
    }.joined()
    let tables = needed.filter { $0.text.hasPrefix("static const ") }
    return (text, tables.map { $0.text.ranges(of: "0x").count }.reduce(0, +))
  }

  /// Returns `code` with C's names for what depends on the scalar type.
  static func spelled(_ code: some StringProtocol, _ scalar: ScalarType) -> String {
    let (real, bits, suffix) = scalar == .float32 ? ("float", "uint32_t", "f") : ("double", "uint64_t", "")
    let (word, fraction, bias) = scalar == .float32 ? ("32", "23", "127") : ("64", "52", "1023")
    let names = [
      "REAL": real, "BITS": bits, "WORD": word, "FRACTION": fraction, "BIAS": bias, "FMA": "cr_fma",
      "LIBRARY_FMA": "fma\(suffix)", "BUILTIN_FMA": "__builtin_fma\(suffix)",
      "HAS_FMA": "__FP_FAST_FMA\(suffix.uppercased())", "SQRT": "sqrt\(suffix)", "FABS": "fabs\(suffix)",
      "REAL_MAX": scalar == .float32 ? "0x1.fffffep+127f" : "0x1.fffffffffffffp+1023",
      "RESTRICT": "CR_RESTRICT", "PAIR": "cr_pair",
    ]
    var result = "", rest = code[...]
    while let start = rest.firstIndex(where: isInIdentifier) {
      let end = rest[start...].firstIndex { !isInIdentifier($0) } ?? rest.endIndex
      result += rest[..<start]
      result += names[String(rest[start..<end])] ?? String(rest[start..<end])
      rest = rest[end...]
    }
    return result + rest
  }

  /// The fused multiply-add, x y + z with one rounding. WORD is the number of bits of BITS; FRACTION and BIAS
  /// are those of the type.
  private static let fusedMultiplyAdd = #"""
    /* cr_fma rounds once, as fma must.  So do an instruction of the CPU and the libraries named here; newlib rounds twice.
       CHAINRULE_OWN_FMA is 1 for the functions below, 0 for the library's, and may be set from outside. */
    #ifndef CHAINRULE_OWN_FMA
    #if defined HAS_FMA || defined __aarch64__ || defined __GLIBC__ || defined __APPLE__ || defined __FreeBSD__ || \
        defined __BIONIC__
    #define CHAINRULE_OWN_FMA 0
    #else
    #define CHAINRULE_OWN_FMA 1
    #endif
    #endif

    #if CHAINRULE_OWN_FMA
    /* m 2^-shift, m in two words, the upper one first; its last bit is 1 where it loses any */
    static void cr_fma_shift(BITS *m, int shift)
    {
      BITS lost = 0;
      for (; shift >= WORD && (m[0] | m[1]) != 0; shift -= WORD) {
        lost |= m[1];
        m[1] = m[0];
        m[0] = 0;
      }
      if (shift > 0 && shift < WORD) {
        lost |= m[1] << (WORD - shift);
        m[1] = m[1] >> shift | m[0] << (WORD - shift);
        m[0] >>= shift;
      }
      if (lost != 0) m[1] |= 1;
    }

    /* x y + z, rounded once, to nearest, ties to even.  Each operand is part 2^exponent, part an integer with its first bit
       at FRACTION.  Product and sum are exact in two words, but for bits so far down that one says whether there are any. */
    static REAL cr_fma(REAL x, REAL y, REAL z)
    {
      const int most = 2 * BIAS + 1, room = WORD - 2 - FRACTION;
      const REAL operands[3] = {x, y, z};
      BITS bits[3], part[3];
      int exponent[3];
      memcpy(bits, operands, sizeof bits);
      for (int i = 0; i < 3; i++) {
        exponent[i] = (int)(bits[i] >> FRACTION) & most;
        if (exponent[i] == most) return i < 2 ? x * y + z : z; /* infinite or NaN */
        part[i] = bits[i] & (((BITS)1 << FRACTION) - 1);
        if (exponent[i] > 0)
          part[i] |= (BITS)1 << FRACTION;
        else
          exponent[i] = 1;
        if (part[i] == 0 && i < 2) return x * y + z;
        while (part[i] != 0 && part[i] >> FRACTION == 0) {
          part[i] <<= 1;
          exponent[i]--;
        }
      }

      /* the product: a b, by halves of a word */
      const BITS mask = ((BITS)1 << WORD / 2) - 1, a = part[0] << (room + 1), b = part[1] << room;
      const BITS first = (a & mask) * (b & mask), second = (a >> WORD / 2) * (b & mask) + (first >> WORD / 2);
      const BITS third = (a & mask) * (b >> WORD / 2) + (second & mask);
      BITS product[2], addend[2];
      product[0] = (a >> WORD / 2) * (b >> WORD / 2) + (second >> WORD / 2) + (third >> WORD / 2);
      product[1] = third << WORD / 2 | (first & mask);
      addend[0] = part[2] << room;
      addend[1] = 0;

      /* the lower one is brought to the exponent of the other */
      const int below = exponent[2] - (exponent[0] + exponent[1] - BIAS + 1);
      int power = exponent[0] + exponent[1] - BIAS + 1;
      if (part[2] != 0 && below > 0) {
        cr_fma_shift(product, below);
        power += below;
      } else {
        cr_fma_shift(addend, -below);
      }

      BITS sign = (bits[0] ^ bits[1]) >> (WORD - 1), high, low;
      if (sign == bits[2] >> (WORD - 1)) {
        low = product[1] + addend[1];
        high = product[0] + addend[0] + (low < addend[1] ? 1 : 0);
      } else {
        const int less = product[0] < addend[0] || (product[0] == addend[0] && product[1] < addend[1]);
        const BITS *from = less ? addend : product, *what = less ? product : addend;
        low = from[1] - what[1];
        high = from[0] - what[0] - (from[1] < what[1] ? 1 : 0);
        if (high == 0 && low == 0) return 0;
        if (less) sign ^= 1;
      }

      /* the first bit comes to the top, or as far as a denormal number lets it */
      power++;
      while (high >> (WORD - 1) == 0) {
        high = high << 1 | low >> (WORD - 1);
        low <<= 1;
        power--;
      }
      if (power < 1) {
        BITS sum[2];
        sum[0] = high;
        sum[1] = low;
        cr_fma_shift(sum, 1 - power);
        high = sum[0];
        low = sum[1];
        power = 1;
      }
      const BITS rest = high << (FRACTION + 1), tie = (BITS)1 << (WORD - 1);
      BITS result = ((BITS)(power - 1) << FRACTION) + (high >> (room + 1));
      if (power >= most)
        result = (BITS)most << FRACTION;
      else if (rest > tie || (rest == tie && (low != 0 || (result & 1) != 0)))
        result++;
      result |= sign << (WORD - 1);
      memcpy(&z, &result, sizeof z);
      return z;
    }
    #elif defined __GNUC__ && (defined HAS_FMA || defined __aarch64__)
    #define cr_fma BUILTIN_FMA
    #else
    #define cr_fma LIBRARY_FMA
    #endif
    """#

  /// A number as the sum of two: high, the rounded number, and low, the rounding error.
  private static let pair = """
    typedef struct PAIR {
      REAL high, low;
    } PAIR;
    """

  /// REAL is the scalar type, BITS the unsigned integer of the same size; SQRT and FABS are functions of
  /// math.h.
  private static let macros = """
    #ifdef __cplusplus
    #define CR_RESTRICT __restrict
    #else
    #define CR_RESTRICT restrict
    #endif

    #define CR_HORNER(x, c) cr_horner(x, sizeof c / sizeof *c, c)
    """

  private static let helpers = """
    static PAIR cr_paired(REAL high, REAL low)
    {
      PAIR both;
      both.high = high;
      both.low = low;
      return both;
    }

    static BITS cr_bits(REAL x)
    {
      BITS bits;
      memcpy(&bits, &x, sizeof bits);
      return bits;
    }

    static REAL cr_number(BITS bits)
    {
      REAL x;
      memcpy(&x, &bits, sizeof x);
      return x;
    }

    /* max(a, b), but b where either is NaN */
    static REAL cr_larger(REAL a, REAL b) { return a > b ? a : b; }

    static REAL cr_smaller(REAL a, REAL b) { return a < b ? a : b; }
    """

  /// The functions for a row.
  private static let rows = """
    /* a[j] = e^(z[j] - m) / sum of e^(z[k] - m), m the largest z; a may be z */
    static void cr_softmax(size_t n, const REAL *z, REAL *a)
    {
      REAL most = -REAL_MAX, total = 0;
      for (size_t j = 0; j < n; j++) most = cr_larger(z[j], most);
      for (size_t j = 0; j < n; j++) {
        a[j] = cr_exp(z[j] - most);
        total += a[j];
      }
      for (size_t j = 0; j < n; j++) a[j] = a[j] / total;
    }

    /* z[j] = b[j] + sum of w[i][j] x[i]: fused multiply-adds in increasing i.  b may be NULL: 0 */
    static void cr_dense(size_t in, size_t out, const REAL *w, const REAL *b, const REAL *x, REAL *RESTRICT z)
    {
      for (size_t j = 0; j < out; j++) z[j] = b ? b[j] : 0;
      for (size_t i = 0; i < in; i++)
        for (size_t j = 0; j < out; j++) z[j] = FMA(w[i * out + j], x[i], z[j]);
    }

    /* a = (x - mean) inverse */
    static void cr_scale(size_t n, const REAL *mean, const REAL *inverse, const REAL *x, REAL *a)
    {
      for (size_t j = 0; j < n; j++) a[j] = (x[j] - mean[j]) * inverse[j];
    }

    /* a = gamma (x - mean) inverse + beta */
    static void cr_normalize(size_t n, const REAL *mean, const REAL *inverse, const REAL *gamma, const REAL *beta,
                             const REAL *x, REAL *a)
    {
      for (size_t j = 0; j < n; j++) a[j] = FMA(gamma[j], (x[j] - mean[j]) * inverse[j], beta[j]);
    }

    /* The same with the mean and the variance of x itself. */
    static void cr_normalize_row(size_t n, REAL epsilon, const REAL *gamma, const REAL *beta, const REAL *x, REAL *a)
    {
      REAL sum = 0, squares = 0;
      for (size_t j = 0; j < n; j++) sum += x[j];
      const REAL mean = sum / (REAL)n;
      for (size_t j = 0; j < n; j++) squares = FMA(x[j] - mean, x[j] - mean, squares);
      const REAL inverse = 1 / SQRT(squares / (REAL)n + epsilon);
      for (size_t j = 0; j < n; j++) a[j] = FMA(gamma[j], (x[j] - mean) * inverse, beta[j]);
    }

    """
}

private func isInIdentifier(_ character: Character) -> Bool {
  character == "_" || character.isASCII && (character.isLetter || character.isNumber)
}

private func identifiers(in code: some StringProtocol) -> [Substring] {
  code.split { !isInIdentifier($0) }.map { Substring($0) }
}
