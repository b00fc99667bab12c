"""Chinese: segments, one script, pinyin.

Segments come from jieba's dictionary and hidden Markov model (rjieba), told the catalogue's own words.
Traditional and simplified are made one by OpenCC's tables, pinyin comes from pypinyin's phrase dictionary.
`Pinyin` turns what was typed in Latin letters back into the catalogue's own Chinese words.
"""

from __future__ import annotations

import bisect
import functools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import rjieba

__all__ = ["HAN", "Pinyin", "PinyinReading", "Segmenter", "mainland", "simplified", "slipped", "syllables"]

#: Characters written without spaces between words: Han, kana and their iteration marks.
HAN = "\u3005\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_RUN = re.compile(f"[{HAN}]+")
_TERM_FREQUENCY = 20_000  # a catalogue's own word wins over its parts

#: Words of shops that jieba's dictionary (newspapers) lacks or cuts apart.
_SHOP_WORDS = """
充电宝 手机壳 手机膜 数据线 充电器 充电头 蓝牙 卫衣 加绒 保温杯 电饭煲 电饭锅 空气炸锅 破壁机
养生壶 榨汁机 扫地机 吸尘器 加湿器 除湿机 净水器 吹风机 电吹风 电动牙刷 剃须刀 洗面奶 护手霜 面膜
口红 唇膏 眼影 防晒霜 爽肤水 洗发水 护发素 沐浴露 纸尿裤 拉拉裤 婴儿车 奶瓶 辅食 积木 拼图 遥控车
毛绒玩具 瑜伽垫 哑铃 跳绳 跑步鞋 运动鞋 帆布鞋 高跟鞋 拖鞋 凉鞋 双肩包 单肩包 斜挎包 拉杆箱 行李箱
羽绒服 冲锋衣 连衣裙 半身裙 牛仔裤 打底裤 休闲裤 衬衫 睡衣 内衣 袜子 围巾 帽子 四件套 被套 床单
枕头 乳胶枕 羽绒被 毛巾 浴巾 收纳箱 收纳盒 置物架 台灯 落地灯 吸顶灯 沙发 茶几 书桌 电脑椅 办公椅
人体工学椅 机械键盘 鼠标垫 显示器 路由器 固态硬盘 移动硬盘 优盘 摄像头 智能手表 手环 音箱 投影仪
打印机 墨盒 硒鼓 中性笔 笔记本 猫粮 狗粮 猫砂 牵引绳 鱼缸 多肉 花盆 螺丝刀 电钻 行车记录仪 车载
脚垫 机油 玻璃水 帐篷 睡袋 登山杖 钓鱼竿 坚果 牛肉干 螺蛳粉 酸辣粉 速溶咖啡 挂耳咖啡 普洱茶 龙井茶
铁观音 燕麦片 蜂蜜 大米 食用油 橄榄油 保鲜膜 垃圾袋 抽纸 卷纸 湿巾 洗衣液 洗洁精 炒锅 不粘锅 砧板
菜刀 餐具 便当盒 吸管杯 自拍杆 降噪 无线 头戴式 入耳式 大容量 快充 防水 透气 速干 轻薄 便携 折叠
儿童 男士 女士 男款 女款 长款 短款 加厚
"""

#: Readings that a word's characters do not tell and pypinyin's dictionary lacks.
_READINGS = {
    "长裙": ("chang", "qun"),
    "加长": ("jia", "chang"),
    "长筒": ("chang", "tong"),
    "长靴": ("chang", "xue"),
    "长毛": ("chang", "mao"),
    "长柄": ("chang", "bing"),
    "超长": ("chao", "chang"),
    "长绒": ("chang", "rong"),
    "长绒棉": ("chang", "rong", "mian"),
    "行车": ("xing", "che"),
    "重型": ("zhong", "xing"),
    "重磅": ("zhong", "bang"),
    "调料": ("tiao", "liao"),
    "调光": ("tiao", "guang"),
    "可调": ("ke", "tiao"),
    "轻薄": ("qing", "bao"),
    "薄款": ("bao", "kuan"),
    "单反": ("dan", "fan"),
}

#: Words of talk, and of Taiwan and Hong Kong (beyond what OpenCC's phrase table has), for those of mainland shops.
_REGIONAL = {
    "滑鼠": "鼠标",
    "行动电源": "充电宝",
    "行充": "充电宝",
    "随身碟": "优盘",
    "蓝芽": "蓝牙",
    "印表机": "打印机",
    "笔电": "笔记本电脑",
    "萤幕": "显示器",
    "荧幕": "显示器",
    "脚踏车": "自行车",
    "保温瓶": "保温杯",
    "洗发精": "洗发水",
    "洗面乳": "洗面奶",
    "电锅": "电饭煲",
    "冷气": "空调",
    "手机套": "手机壳",
    "网路": "网络",
    "无线网路": "无线网络",
    "硬碟": "硬盘",
    "喇叭": "音箱",
    "尿布": "纸尿裤",
    "尿不湿": "纸尿裤",
    "刮胡刀": "剃须刀",
    "原子笔": "圆珠笔",
    "卫生纸": "卷纸",
    "智慧": "智能",
    "智慧型": "智能",
    "耳麦": "耳机",
    "吹风筒": "吹风机",
    "电单车": "电动车",
}
_REGIONAL_WORD = re.compile(f"({'|'.join(sorted(_REGIONAL, key=len, reverse=True))})")


@functools.cache
def _to_simplified() -> Any:
    from opencc import OpenCC

    return OpenCC("t2s")


@functools.lru_cache(maxsize=1 << 15)
def simplified(character: str) -> str:
    """One character in mainland script; always one character."""
    changed: str = _to_simplified().convert(character)
    return changed if len(changed) == 1 else character


def mainland(word: str) -> str:
    """What mainland shops call a (simplified) word; itself where they are the same."""
    return _REGIONAL.get(word, word)


_MOST_SLIPS = 2.0  # of a whole reading, as counted below
_LETTERS_TYPED, _LETTERS_MISTYPED = 5, 6  # fewer are as likely an English word (pen, men, mat, juice)
_LONGEST_READ = 48  # letters of pinyin read at once, a dozen words
#: How unsure a word is that was reached so; a word spelled out is 0, each further word costs 1.
_SLIPPED, _INITIALS, _COMPLETED, _MISTYPED = 0.5, 0.8, 0.9, 1.2


class Segmenter:
    """Words of running Chinese text. `terms`: the catalogue's own brands and words, normalised."""

    def __init__(self, terms: Iterable[str] = ()) -> None:
        self._jieba = rjieba.Jieba()
        for term in (*_SHOP_WORDS.split(), *_REGIONAL, *terms):
            if 2 <= len(term) <= 12 and _RUN.fullmatch(term):
                self._jieba.add_word(term, _TERM_FREQUENCY, "n")

    def words(self, run: str) -> list[str]:
        """`run` cut into words, none overlapping."""
        cut: list[str] = self._jieba.cut(run)
        return cut

    def spans(self, run: str) -> list[tuple[int, int]]:
        """(start, end) of all that an index should know of `run`: words, words within them, pairs, last characters.

        Pairs of neighbouring characters find what was cut otherwise in the query; a word's last character is
        often its noun (杯 finds 保温杯).
        """
        found = {(start, end) for _, start, end in self._jieba.tokenize(run, "search")}
        found.update((end - 1, end) for start, end in list(found) if end - start > 1)
        found.update((at, at + 2) for at in range(len(run) - 1))
        return sorted(found, key=lambda span: (span[0], -span[1]))

    def parts(self, word: str) -> list[str]:
        """The known words that `word` consists of, in order and together all of it; itself if it is one."""
        if len(word) < 3:
            return [word]
        inner = [(s, e) for _, s, e in self._jieba.tokenize(word, "search") if e - s < len(word)]
        parts, at = [], 0
        for start, end in sorted(inner, key=lambda span: (span[0], -span[1])):
            if start < at:
                continue
            if start > at:
                parts.append(word[at:start])
            parts.append(word[start:end])
            at = end
        if not parts:  # an unknown word: by pairs, which every index has
            return [word[at : at + 2] for at in range(len(word) - 1)]
        if at < len(word):
            parts.append(word[at:])
        return parts


@functools.lru_cache(maxsize=1 << 16)
def syllables(word: str) -> tuple[str, ...]:
    """Pinyin of a Chinese word without tones, ü as v, a syllable a character: 蓝牙 is ("lan", "ya")."""
    if word in _READINGS:
        return _READINGS[word]
    if len(word) > 2:  # 加长款: known words inside keep their reading
        for size in (3, 2):
            if size < len(word) and word[:size] in _READINGS:
                return _READINGS[word[:size]] + syllables(word[size:])
    from pypinyin import Style, lazy_pinyin  # its dictionary takes most of a second

    return tuple(s for s in lazy_pinyin(word, style=Style.NORMAL, errors="ignore") if s.isascii())


@functools.lru_cache(maxsize=1 << 16)
def slipped(letters: str) -> str:
    """`letters` of pinyin with the usual slips made one: zh z, ch c, sh s, ng n, l n, v and ü u."""
    letters = letters.translate(_ONE_LETTER)
    return _SLIP.sub(r"\1", letters)


_ONE_LETTER = str.maketrans({"v": "u", "l": "n"})
_SLIP = re.compile(r"([zcs])h|(?<=n)g+")


@dataclass(frozen=True, slots=True)
class PinyinReading:
    """What Latin letters meant. text: the query with them in Chinese; slips: 0 exact, more the less certain;
    partial: the last word was completed from its beginning."""

    text: str
    slips: float
    partial: bool = False


class Pinyin:
    """The catalogue's Chinese words and phrases by their pinyin, initials, and what is easily mistyped for them."""

    #: Phrases kept, most frequent first; words of one segment always come before.
    LIMIT = 60_000

    def __init__(self, phrases: Mapping[tuple[str, ...], int] | None = None) -> None:
        """phrases: segments in order → how many titles have them, as `Analyzer.phrases` gives them."""
        self._full: dict[str, str] = {}
        self._slips: dict[str, str] = {}
        self._initials: dict[str, str] = {}
        self._missing: dict[str, list[tuple[str, str]]] = {}
        self._count: dict[str, int] = {}
        self._pairs: set[str] = set()
        self._shapes: dict[str, str] = {}
        self._sorted_full: list[str] = []
        self._sorted_initials: list[str] = []
        self._longest = 0
        self.add(phrases or {})

    def add(self, phrases: Mapping[tuple[str, ...], int]) -> None:
        """More of them, while others read. What titles no longer have stays known."""
        kept = sorted(phrases.items(), key=lambda item: (len(item[0]) > 1, -item[1]))
        for words, count in sorted(kept[: self.LIMIT], key=lambda item: -item[1]):  # the most frequent takes the key
            spoken = [s for word in words for s in syllables(word)]
            text = "".join(words)
            if not spoken or len(spoken) != len(text):
                continue
            known = self._count.get(text, 0)
            if not known and len(self._count) >= self.LIMIT:
                continue
            self._count[text] = known + count
            if not known:
                self._learn(text, spoken, short=len(words) <= 2)
        self._sorted_full = sorted(self._full)
        self._sorted_initials = sorted(self._initials)

    def _learn(self, text: str, spoken: list[str], short: bool) -> None:
        self._pairs.update(text[at : at + 2] for at in range(len(text) - 1))
        if 3 <= len(text) <= 8:
            for at in range(len(text)):
                self._shapes.setdefault(f"{text[:at]}?{text[at + 1 :]}", text)
        full = "".join(spoken)
        self._full.setdefault(full, text)
        self._longest = max(self._longest, len(full))
        key = slipped(full)
        if key not in self._slips:
            self._slips[key] = text
            if 5 <= len(key) <= 24 and short:
                for shorter in (key, *_without_one(key)):
                    self._missing.setdefault(shorter, []).append((key, text))
        if len(spoken) > 1:
            self._initials.setdefault("".join(s[0] for s in spoken), text)

    def __len__(self) -> int:
        return len(self._count)

    def mend(self, query: str, known: Callable[[str], bool] | None = None) -> str | None:
        """`query` (normalised) in the catalogue's own Chinese: its pinyin written out, its mistyped characters mended;
        None where there is nothing to change. known: as `read` has it."""
        read = self.read(query, known)
        return read.text if read else self.alike(query)

    def read(self, query: str, known: Callable[[str], bool] | None = None) -> PinyinReading | None:
        """`query` (normalised) with its pinyin in Chinese, or None where there is none or not all of it is read.

        known(word): a Latin word the catalogue has itself; it is left alone.
        """
        if not self._full or len(query) > 100:
            return None
        out: list[str] = []
        slips, partial, changed = 0.0, False, False
        pieces = list(_groups(query, known))
        for number, (text, pinyin) in enumerate(pieces):
            if not pinyin:
                out.append(text)
                continue
            read = self._group(text.split(), last=number == len(pieces) - 1)
            if read is None:
                return None
            out.append(read.text)
            slips, partial, changed = slips + read.slips, partial or read.partial, True
        return PinyinReading(" ".join(out), slips, partial) if changed else None

    def alike(self, query: str) -> str | None:
        """`query` (normalised) with Chinese words that no title has replaced by ones that sound the same or differ
        in one character (兰牙耳机, 保温怀); None where there is nothing to replace, or nothing like it."""
        if not self._full or len(query) > 100:
            return None
        changed = _RUN.sub(
            lambda match: "".join(  # a word of another region is none mistyped
                piece if piece in _REGIONAL else self._alike(piece) for piece in _REGIONAL_WORD.split(match[0])
            ),
            query,
        )
        return changed if changed != query else None

    def _alike(self, run: str) -> str:
        if len(run) < 2 or all(run[at : at + 2] in self._pairs for at in range(len(run) - 1)):
            return run
        for end in range(len(run), 1, -1):  # the longest beginning that is like something, then the rest
            text = self._one_alike(run[:end])
            if text is not None:
                return text + (self._alike(run[end:]) if end < len(run) else "")
        return run

    def _one_alike(self, word: str) -> str | None:
        if word in self._count:
            return word
        letters = "".join(syllables(word))
        heard = self._full.get(letters) or self._slips.get(slipped(letters))
        if heard is not None and len(heard) == len(word):
            return heard
        for at in range(len(word)):
            if len(word) > 2 and (text := self._shapes.get(f"{word[:at]}?{word[at + 1 :]}")):
                return text
        return None

    def complete(self, prefix: str, k: int = 10) -> list[str]:
        """Chinese words and phrases whose pinyin or initials begin with `prefix`, most frequent first."""
        letters = prefix.replace(" ", "").replace("'", "")
        if not letters.isascii() or not letters.isalpha():
            return []
        found = {self._full[key] for key in _beginning(self._sorted_full, letters)}
        if len(letters) > 1:
            found |= {self._initials[key] for key in _beginning(self._sorted_initials, letters)}
        return sorted(found, key=lambda text: (-self._count[text], len(text), text))[:k]

    def _group(self, tokens: list[str], last: bool) -> PinyinReading | None:
        """Fewest and surest words that together spell all `tokens`; spaces between them are only a hint."""
        letters = "".join(tokens)
        if len(letters) > _LONGEST_READ:
            return None
        borders = {0}
        for token in tokens:
            borders.add(max(borders) + len(token))
        size = len(letters)
        best: list[tuple[float, float, tuple[str, ...], bool] | None] = [None] * (size + 1)
        best[0] = (0.0, 0.0, (), False)
        for start in range(size):
            here = best[start]
            if here is None:
                continue
            for end in range(start + 1, min(size, start + self._longest + 1) + 1):
                aligned = start in borders and end in borders
                found = self._word(letters[start:end], aligned, whole=start == 0 and end == size)
                partial = False
                if last and end == size and end - start >= _LETTERS_TYPED and (found is None or found[1] > _COMPLETED):
                    longer = self.complete(letters[start:end], 1)
                    if longer:
                        found, partial = (longer[0], _COMPLETED), True
                if found is None:
                    continue
                text, slips = found
                cost = here[0] + 1.0 + slips - 0.02 * math.log1p(self._count[text])
                old = best[end]
                if old is None or cost < old[0]:
                    best[end] = (cost, here[1] + slips, (*here[2], text), partial)
        end_state = best[size]
        if end_state is None or end_state[1] > _MOST_SLIPS:
            return None
        single = sum(len(text) == 1 for text in end_state[2])
        if single > 1 or single == len(end_state[2]):
            return None  # letters that happen to cut into syllables
        return PinyinReading(" ".join(end_state[2]), end_state[1], end_state[3])

    def _word(self, letters: str, aligned: bool, whole: bool) -> tuple[str, float] | None:
        text = self._full.get(letters)
        if text is not None and len(letters) > 1:
            return text, 0.0
        key = slipped(letters)
        text = self._slips.get(key)
        if text is not None and len(letters) > 2:
            return text, _SLIPPED
        if not aligned:
            return None
        if len(letters) > 2 or whole:
            text = self._initials.get(letters)
            if text is not None:
                return text, _INITIALS
        if len(key) < _LETTERS_MISTYPED:
            return None
        nearest: tuple[str, float] | None = None
        for shorter in (key, *_without_one(key)):
            for other, text in self._missing.get(shorter, ()):
                if abs(len(other) - len(key)) > 1 or not _one_edit(key, other):
                    continue
                if nearest is None or self._count[text] > self._count[nearest[0]]:
                    nearest = (text, _MISTYPED)
        return nearest


_SPOKEN = re.compile(r"[a-z]+(?:'[a-z]+)*")


def _groups(query: str, known: Callable[[str], bool] | None) -> Iterator[tuple[str, bool]]:
    """(text, is pinyin): neighbouring Latin words together, all else as it is."""
    waiting: list[str] = []
    for token in query.split():
        if _SPOKEN.fullmatch(token) and not (known and known(token)):
            waiting.append(token.replace("'", ""))
            continue
        if waiting:
            yield " ".join(waiting), True
            waiting = []
        yield token, False
    if waiting:
        yield " ".join(waiting), True


def _beginning(ordered: list[str], prefix: str, limit: int = 200) -> list[str]:
    start = bisect.bisect_left(ordered, prefix)
    end = bisect.bisect_right(ordered, prefix + "\x7f")
    return ordered[start : min(end, start + limit)]


def _without_one(key: str) -> set[str]:
    return {key[:at] + key[at + 1 :] for at in range(len(key))}


def _one_edit(a: str, b: str) -> bool:
    """Whether one letter added, left out, changed, or two neighbours swapped make `a` into `b`."""
    if len(a) > len(b):
        a, b = b, a
    at = 0
    while at < len(a) and a[at] == b[at]:
        at += 1
    if len(a) == len(b):
        return a[at + 1 :] == b[at + 1 :] or (a[at : at + 2] == b[at : at + 2][::-1] and a[at + 2 :] == b[at + 2 :])
    return a[at:] == b[at + 1 :]
