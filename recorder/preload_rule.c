// preload_rule.c: how a frame's caller is found, read from the program's unwind tables.
//
// Owns: .eh_frame_hdr and .eh_frame, turned into one rule per place: where the caller's frame
// begins (CFA) and where its frame pointer is. The return address always lies below the CFA.
// Does not own: following the rules (preload_walk.c) and keeping them (preload_place.c).
//
// Compilers need few of the format's many possibilities; what they do not need has the rule
// REC_CFA_FOREIGN, and the full unwinder takes that stack. The tables are found by glibc's
// _dl_find_object, which takes no lock. They are trusted to be well-formed as far as a C++
// exception trusts them; every read stays inside the length that the record states.
//
// Format: Linux Standard Base, "DWARF extensions" and "Exception Frames"; DWARF 5, section 6.4.
#include "libhakrec.h"

#include <dlfcn.h>
#include <string.h>

enum { REGISTER_BP = 6, REGISTER_SP = 7, REGISTER_RETURN = 16 };

// ---------------------------------------------------------------- reading

struct input {
    const uint8_t *at, *end;
    bool failed;
};

static uint64_t read_bytes(struct input *in, size_t bytes) {
    uint64_t value = 0;
    if ((size_t)(in->end - in->at) < bytes) {
        in->failed = true;
        in->at = in->end;
        return 0;
    }
    memcpy(&value, in->at, bytes);
    in->at += bytes;
    return value;
}

static uint64_t read_uleb(struct input *in) {
    uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
        uint64_t byte = read_bytes(in, 1);
        if (shift < 64)
            value |= (byte & 127) << shift;
        if (byte < 128)
            return value;
    }
}

static int64_t read_sleb(struct input *in) {
    uint64_t value = 0;
    for (unsigned shift = 0;;) {
        uint64_t byte = read_bytes(in, 1);
        if (shift < 64)
            value |= (byte & 127) << shift;
        shift += 7;
        if (byte >= 128)
            continue;
        if (shift < 64 && (byte & 64) != 0)
            value |= ~0ull << shift;
        return (int64_t)value;
    }
}

static void skip(struct input *in, uint64_t bytes) {
    if ((uint64_t)(in->end - in->at) < bytes) {
        in->failed = true;
        bytes = (uint64_t)(in->end - in->at);
    }
    in->at += bytes;
}

// A pointer in one of the encodings (DW_EH_PE_*) that x86-64 code uses; indirect ones are skipped
// for their size only.
static uint64_t read_encoded(struct input *in, uint8_t encoding) {
    uint64_t base = (encoding & 0x70) == 0x10 ? (uint64_t)in->at : 0;
    switch (encoding & 0x0f) {
    case 0x00: // absptr
    case 0x04: // udata8
    case 0x0c: // sdata8
        return base + read_bytes(in, 8);
    case 0x02: // udata2
        return base + read_bytes(in, 2);
    case 0x03: // udata4
        return base + read_bytes(in, 4);
    case 0x0a: // sdata2
        return base + (uint64_t)(int16_t)read_bytes(in, 2);
    case 0x0b: // sdata4
        return base + (uint64_t)(int32_t)read_bytes(in, 4);
    default:
        in->failed = true;
        return 0;
    }
}

// ---------------------------------------------------------------- records

struct frame_record { // a CIE and one FDE of it
    uint64_t code_align;
    int64_t data_align;
    uint8_t encoding;
    bool is_signal, has_augmentation;
    struct input initial, instructions;
    uint64_t begin;
};

// The record at `at`: what follows its length; false: none, or of the 64-bit kind.
static bool record_open(const uint8_t *at, struct input *in) {
    uint32_t length;
    memcpy(&length, at, sizeof length);
    *in = (struct input){at + 4, at + 4 + length, false};
    return length != 0 && length != UINT32_MAX;
}

static bool common_read(const uint8_t *at, struct frame_record *record) {
    struct input in;
    if (!record_open(at, &in) || read_bytes(&in, 4) != 0)
        return false;
    uint64_t version = read_bytes(&in, 1);
    const char *augmentation = (const char *)in.at;
    while (read_bytes(&in, 1) != 0)
        ;
    record->code_align = read_uleb(&in);
    record->data_align = read_sleb(&in);
    uint64_t returns = version == 1 ? read_bytes(&in, 1) : read_uleb(&in);
    record->has_augmentation = *augmentation == 'z';
    if (in.failed || returns != REGISTER_RETURN ||
        (!record->has_augmentation && *augmentation != '\0'))
        return false;
    uint64_t bytes = record->has_augmentation ? read_uleb(&in) : 0;
    struct input data = in;
    skip(&in, bytes);
    record->initial = in;
    for (const char *c = augmentation; *c != '\0'; c++) {
        if (*c == 'R')
            record->encoding = (uint8_t)read_bytes(&data, 1);
        else if (*c == 'P')
            read_encoded(&data, (uint8_t)read_bytes(&data, 1));
        else if (*c == 'L')
            read_bytes(&data, 1);
        else if (*c == 'S')
            record->is_signal = true;
    }
    return !in.failed && !data.failed;
}

// False: the record at `at` does not cover pc, or is not understood (*foreign).
static bool frame_read(const uint8_t *at, uint64_t pc, struct frame_record *record, bool *foreign) {
    struct input in;
    *foreign = true;
    if (!record_open(at, &in))
        return false;
    const uint8_t *link = in.at;
    uint32_t back = (uint32_t)read_bytes(&in, 4);
    if (back == 0 || !common_read(link - back, record) || (record->encoding & 0x80) != 0)
        return false;
    record->begin = read_encoded(&in, record->encoding);
    uint64_t size = read_encoded(&in, record->encoding & 0x0f);
    if (record->has_augmentation)
        skip(&in, read_uleb(&in));
    record->instructions = in;
    *foreign = in.failed;
    return !in.failed && pc - record->begin < size;
}

// ---------------------------------------------------------------- the sorted table

struct table_row {
    int32_t begin, record; // relative to the table's section
};

// The last record that begins at or below pc; NULL: none. *foreign: the table is of another kind.
static const uint8_t *record_find(const uint8_t *section, uint64_t pc, bool *foreign) {
    struct input in = {section + 4, section + 4 + 64, false};
    *foreign = section[0] != 1 || section[3] != 0x3b; // data-relative, 4 bytes
    if (*foreign)
        return NULL;
    read_encoded(&in, section[1]);
    uint64_t count = read_encoded(&in, section[2]);
    const struct table_row *rows = (const struct table_row *)(const void *)in.at;
    int64_t wanted = (int64_t)(pc - (uint64_t)section);
    uint64_t low = 0;
    for (uint64_t high = in.failed ? 0 : count; low < high;) {
        uint64_t middle = low + (high - low) / 2;
        if (rows[middle].begin <= wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return low == 0 ? NULL : section + rows[low - 1].record;
}

// ---------------------------------------------------------------- the instructions

struct columns {     // the state that instructions change, as far as we follow it
    uint8_t cfa, bp; // enum rec_cfa, enum rec_bp
    int64_t cfa_offset, bp_offset;
    bool has_return; // at CFA − 8
    bool ends;       // no return address: the outermost frame
};

enum { REMEMBER_MAX = 8 };

struct machine {
    const struct frame_record *record;
    uint64_t pc, at;
    struct columns now, initial, remembered[REMEMBER_MAX];
    unsigned remembered_count;
    bool foreign;
};

static void set_cfa(struct machine *m, uint64_t reg, int64_t offset) {
    m->now.cfa = reg == REGISTER_SP   ? REC_CFA_SP
                 : reg == REGISTER_BP ? REC_CFA_BP
                                      : REC_CFA_FOREIGN;
    m->now.cfa_offset = offset;
}

// `*(bp + n)` and `*(bp + n) + m`: functions that align their stack.
static void set_cfa_expression(struct machine *m, struct input *in) {
    uint64_t bytes = read_uleb(in);
    struct input expression = {in->at, in->at + bytes, false};
    skip(in, bytes);
    m->now.cfa = REC_CFA_FOREIGN;
    if (read_bytes(&expression, 1) != 0x70 + REGISTER_BP) // DW_OP_breg
        return;
    int64_t offset = read_sleb(&expression);
    bool is_deref = read_bytes(&expression, 1) == 0x06;
    if (is_deref && expression.at == expression.end && !expression.failed) {
        m->now.cfa = REC_CFA_BP_DEREF;
        m->now.cfa_offset = offset;
    }
}

static void set_saved(struct machine *m, uint64_t reg, int64_t offset) {
    if (reg == REGISTER_BP) {
        m->now.bp = REC_BP_AT_CFA;
        m->now.bp_offset = offset;
    } else if (reg == REGISTER_RETURN) {
        m->now.has_return = offset == -8;
        m->now.ends = false;
    }
}

static void set_saved_expression(struct machine *m, uint64_t reg, struct input *in) {
    uint64_t bytes = read_uleb(in);
    struct input expression = {in->at, in->at + bytes, false};
    skip(in, bytes);
    if (reg == REGISTER_RETURN)
        m->now.has_return = false;
    if (reg != REGISTER_BP)
        return;
    bool is_bp = read_bytes(&expression, 1) == 0x70 + REGISTER_BP;
    m->now.bp_offset = read_sleb(&expression);
    m->now.bp = is_bp && expression.at == expression.end && !expression.failed ? REC_BP_AT_BP
                                                                               : REC_BP_FOREIGN;
}

// The register's value is kept in no memory that we follow, or is its own again.
static void set_other(struct machine *m, uint64_t reg, uint8_t bp, bool ends) {
    if (reg == REGISTER_BP) {
        m->now.bp = bp;
    } else if (reg == REGISTER_RETURN) {
        m->now.has_return = false;
        m->now.ends = ends;
    }
}

static void restore(struct machine *m, uint64_t reg) {
    if (reg == REGISTER_BP) {
        m->now.bp = m->initial.bp;
        m->now.bp_offset = m->initial.bp_offset;
    } else if (reg == REGISTER_RETURN) {
        m->now.has_return = m->initial.has_return;
        m->now.ends = m->initial.ends;
    }
}

static void remember(struct machine *m) {
    if (m->remembered_count == REMEMBER_MAX)
        m->foreign = true;
    else
        m->remembered[m->remembered_count++] = m->now;
}

static void recall(struct machine *m) {
    if (m->remembered_count == 0)
        m->foreign = true;
    else
        m->now = m->remembered[--m->remembered_count];
}

static void step_plain(struct machine *m, struct input *in, uint8_t code) {
    int64_t align = m->record->data_align;
    uint64_t reg;
    switch (code) {
    case 0x00: // nop
        break;
    case 0x01: // set_loc
        m->at = read_encoded(in, m->record->encoding);
        break;
    case 0x02: // advance_loc1, 2, 4
        m->at += read_bytes(in, 1) * m->record->code_align;
        break;
    case 0x03:
        m->at += read_bytes(in, 2) * m->record->code_align;
        break;
    case 0x04:
        m->at += read_bytes(in, 4) * m->record->code_align;
        break;
    case 0x05: // offset_extended
        reg = read_uleb(in);
        set_saved(m, reg, (int64_t)read_uleb(in) * align);
        break;
    case 0x06: // restore_extended
        restore(m, read_uleb(in));
        break;
    case 0x07: // undefined
        set_other(m, read_uleb(in), REC_BP_FOREIGN, true);
        break;
    case 0x08: // same_value
        set_other(m, read_uleb(in), REC_BP_SAME, false);
        break;
    case 0x09: // register
        set_other(m, read_uleb(in), REC_BP_FOREIGN, false);
        read_uleb(in);
        break;
    case 0x0a:
        remember(m);
        break;
    case 0x0b:
        recall(m);
        break;
    case 0x0c: // def_cfa
        reg = read_uleb(in);
        set_cfa(m, reg, (int64_t)read_uleb(in));
        break;
    case 0x0d: // def_cfa_register
        set_cfa(m, read_uleb(in), m->now.cfa_offset);
        break;
    case 0x0e: // def_cfa_offset
        m->now.cfa_offset = (int64_t)read_uleb(in);
        break;
    case 0x0f:
        set_cfa_expression(m, in);
        break;
    case 0x10: // expression
        reg = read_uleb(in);
        set_saved_expression(m, reg, in);
        break;
    case 0x11: // offset_extended_sf
        reg = read_uleb(in);
        set_saved(m, reg, read_sleb(in) * align);
        break;
    case 0x12: // def_cfa_sf
        reg = read_uleb(in);
        set_cfa(m, reg, read_sleb(in) * align);
        break;
    case 0x13: // def_cfa_offset_sf
        m->now.cfa_offset = read_sleb(in) * align;
        break;
    case 0x14: // val_offset, val_offset_sf: no compiler saves a frame pointer so
    case 0x15:
        set_other(m, read_uleb(in), REC_BP_FOREIGN, false);
        read_uleb(in);
        break;
    case 0x16: // val_expression
        set_other(m, read_uleb(in), REC_BP_FOREIGN, false);
        skip(in, read_uleb(in));
        break;
    case 0x2e: // GNU_args_size
        read_uleb(in);
        break;
    default:
        m->foreign = true;
    }
}

// Runs instructions up to the place of pc.
static void run(struct machine *m, struct input in) {
    while (in.at < in.end && !in.failed && !m->foreign) {
        uint8_t code = (uint8_t)read_bytes(&in, 1);
        uint8_t operand = code & 0x3f;
        if (code >> 6 == 1)
            m->at += operand * m->record->code_align;
        else if (code >> 6 == 2)
            set_saved(m, operand, (int64_t)read_uleb(&in) * m->record->data_align);
        else if (code >> 6 == 3)
            restore(m, operand);
        else
            step_plain(m, &in, code);
        if (m->at > m->pc)
            return;
    }
    m->foreign |= in.failed;
}

static struct ring_rule rule_from(const struct columns *now) {
    struct ring_rule rule = {.cfa = REC_CFA_FOREIGN};
    if (now->ends) {
        rule.cfa = REC_CFA_END;
        return rule;
    }
    bool fits =
        now->cfa_offset == (int32_t)now->cfa_offset && now->bp_offset == (int16_t)now->bp_offset;
    if (!fits || !now->has_return || now->bp == REC_BP_FOREIGN)
        return rule;
    rule.cfa = now->cfa;
    rule.cfa_offset = (int32_t)now->cfa_offset;
    rule.bp = now->bp;
    rule.bp_offset = (int16_t)now->bp_offset;
    return rule;
}

static struct ring_rule rule_run(const struct frame_record *record, uint64_t pc) {
    static const struct ring_rule foreign = {.cfa = REC_CFA_FOREIGN};
    struct machine m = {.record = record, .pc = pc, .at = record->begin};
    m.now.cfa = REC_CFA_FOREIGN;
    m.now.bp = REC_BP_SAME;
    run(&m, record->initial);
    m.initial = m.now;
    run(&m, record->instructions);
    return m.foreign ? foreign : rule_from(&m.now);
}

static struct ring_rule rule_find(const uint8_t *section, uint64_t pc) {
    struct ring_rule rule = {.cfa = REC_CFA_GUESS};
    bool foreign;
    const uint8_t *at = record_find(section, pc, &foreign);
    struct frame_record record = {0};
    if (at != NULL && frame_read(at, pc, &record, &foreign)) {
        rule.cfa = REC_CFA_SIGNAL;
        return record.is_signal ? rule : rule_run(&record, pc);
    }
    if (foreign)
        rule.cfa = REC_CFA_FOREIGN;
    return rule;
}

struct ring_rule rec_rule_of(uint64_t pc) {
    struct ring_rule rule = {.cfa = REC_CFA_GUESS};
    struct dl_find_object object, own;
    if (_dl_find_object((void *)(uintptr_t)pc, &object) != 0)
        return rule;
    if (object.dlfo_eh_frame != NULL)
        rule = rule_find(object.dlfo_eh_frame, pc);
    rule.is_own =
        _dl_find_object(rec_pool_memory, &own) == 0 && own.dlfo_link_map == object.dlfo_link_map;
    return rule;
}
